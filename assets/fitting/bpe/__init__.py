"""Byte-level byte-pair encoding compiled: how text is cut into words, how words are merged, how merges are learned."""
