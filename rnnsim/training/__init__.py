"""Training: the update rule of truncated BPTT, from its segments to the record of a run."""

from rnnsim.training.ensembles import Training, train

__all__ = ["Training", "train"]
