"""Runs of random tokens put at two places of each text each."""
