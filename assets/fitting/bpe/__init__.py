"""Byte-level byte-pair encoding compiled: how text is cut into words, how words are merged."""
