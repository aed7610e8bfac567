"""Training: the update rule of truncated BPTT, from its segments to the record of a run."""
