"""Several layers, one reading the states of the other."""
