"""What the arrays of results are: axes, units, names in words; shared with the sweeps."""
