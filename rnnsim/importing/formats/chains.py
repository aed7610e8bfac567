"""Recurrent layers that read each other directly are one network."""

from collections.abc import Mapping

from rnnsim.importing.contents import Recurrent


def chained(single: Mapping[str, Recurrent], below: Mapping[str, str]) -> dict[str, Recurrent]:
    """Networks as `a+b` where b alone reads all states of a and is of the same cell and size.

    `below` says of networks which one they read, of those that read the states of one alone.
    """
    runs = [[name] for name in single]
    for name in single:
        lower = below.get(name, "")
        if lower == name or list(below.values()).count(lower) != 1 or lower not in single:
            continue
        layers = (*single[lower].layers, *single[name].layers)
        kinds = {(each.cell, each.n_hidden, each.activation) for each in layers}
        if single[lower].layers and single[name].layers and len(kinds) == 1:
            under = next(run for run in runs if run[-1] == lower)
            over = next(run for run in runs if run[0] == name)
            if under is not over:
                under.extend(over)
                runs = [each for each in runs if each is not over]
    return {"+".join(run): _joined([single[name] for name in run]) for run in runs}


def tops(single: Mapping[str, Recurrent], networks: Mapping[str, Recurrent]) -> set[str]:
    """Which of the single ones are the highest layer of a network."""
    return {name for name in single for key in networks if f"+{key}".endswith(f"+{name}")}


def _joined(parts: list[Recurrent]) -> Recurrent:
    layers = tuple(layer for part in parts for layer in part.layers)
    arrays = tuple(dict.fromkeys(array for part in parts for array in part.arrays))
    return Recurrent(layers, arrays, parts[0].problem)
