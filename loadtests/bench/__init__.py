"""Comparing servers: the same requests to each in turn, on one core, and what the ratios say."""
