"""Reproductions at reduced size, each computed once for all tests of a process."""

from analysis.published.reproduction import Reproduction

_DONE = {}


def done(entry):
    """The reproduction and its datasets."""
    if entry not in _DONE:
        reproduction = Reproduction(entry)
        datasets = reproduction.compute(reproduction.module.REDUCED, progress=False)
        _DONE[entry] = (reproduction, datasets)
    return _DONE[entry]
