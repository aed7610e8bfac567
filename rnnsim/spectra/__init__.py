"""W_hh alone: eigenvalues, and what they do not tell."""
