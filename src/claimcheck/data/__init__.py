"""Data sets: reading, downloading, checking."""
