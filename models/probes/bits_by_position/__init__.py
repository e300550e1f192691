"""Bits for each token, stretch by stretch of a text."""
