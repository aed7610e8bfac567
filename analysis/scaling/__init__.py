"""Commands on many cores and machines: which engine, which share, what a store says."""
