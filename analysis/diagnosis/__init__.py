"""A diagnosis as a command, in figures, and as one page."""
