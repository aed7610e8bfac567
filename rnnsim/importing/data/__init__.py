"""Data from files: what kinds of files there are, and how their arrays are meant."""
