"""Numbers of summaries and captions once more, in plain Python: for tests of words alone."""

import itertools
import math

import numpy as np

LN10 = math.log(10.0)


def known(values):
    """The values that are not NaN, ascending; infinities keep their places."""
    return sorted(float(v) for v in np.asarray(values, dtype=float).ravel() if v == v)


def medians(values):
    """The two values in the middle; (NaN, NaN) of none."""
    row = known(values)
    return (row[(len(row) - 1) // 2], row[len(row) // 2]) if row else (math.nan, math.nan)


def median(values):
    low, high = medians(values)
    if low == high or (math.isfinite(low) and math.isfinite(high)):
        return 0.5 * (low + high) if low != high else low
    return low if not math.isfinite(low) else high


def middle(values, form, unknown="not known"):
    low, high = medians(values)
    if low != low:
        return unknown
    if low == high:
        return form(low)
    if math.isfinite(low) and math.isfinite(high):
        return form(0.5 * (low + high))
    return f"at least {form(low)}" if math.isfinite(low) else f"at most {form(high)}"


def quartile(values, q):
    """As NumPy's, of finite values alone."""
    return float(np.quantile(known(values), q))


def of_known(values):
    size, found = np.size(values), len(known(values))
    return "" if size == found else f" (known of {found} of {several(size, 'network')})"


def share(x):
    if 0 < x < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.99 < x < 1 else f"{100 * x:.0f}%"


def percent(x):
    text = f"{100 * x:.8f}".rstrip("0").rstrip(".")
    return f"{text}%"


def names(values, none):
    if not values:
        return none
    return ("gain " if len(values) == 1 else "gains ") + ", ".join(f"{v:g}" for v in values)


def several(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def nearest(values, wanted):
    return sorted({min(values, key=lambda v: abs(v - w)) for w in wanted})


def plain(dataset, **chosen):
    """Axes of one entry dropped, gains and lengths ascending."""
    for axis in ("gain", "length"):
        if axis in dataset.dims:
            dataset = dataset.isel({axis: np.argsort(dataset[axis].values)})
    single = ("task", "scheme", "activation", "n_hidden", "data_seed")
    return dataset.isel({axis: 0 for axis in single if axis in dataset.dims}).sel(chosen)


CALLED = {"vanilla": "vanilla networks", "lstm": "LSTM", "gru": "GRU"}


def by_kind(datasets, one):
    """The sentences of each cell, forget bias and depth under its name; vanilla has no bias."""
    first = next(iter(datasets.values()))
    if not {"cell", "forget_bias", "n_layers"} & {*first.dims}:
        return one(datasets)
    words = []
    for at in places(first):
        name = ", ".join(_called(at))
        words.append(f"{name[0].upper()}{name[1:]}:")
        words += one({key: data.sel(at) for key, data in datasets.items()})
    return words


def places(data):
    """Where along the axes there are networks: vanilla ones have no forget bias but 0."""
    axes = [axis for axis in ("cell", "forget_bias", "n_layers") if axis in data.dims]
    for labels in itertools.product(*(data[axis].values.tolist() for axis in axes)):
        at = dict(zip(axes, labels, strict=True))
        if at.get("cell") != "vanilla" or not at.get("forget_bias"):
            yield at


def _called(at):
    cell = at.get("cell", "vanilla")
    bias = f"forget bias {at['forget_bias']:g}" if "forget_bias" in at else ""
    layers = f"{at['n_layers']} layer{'s' * (at['n_layers'] > 1)}" if "n_layers" in at else ""
    return [CALLED[cell], *([bias] if bias and cell != "vanilla" else []), *filter(None, [layers])]


def by_name(data):
    """The part of every kind of networks, with its name before a number."""
    found = []
    for at in places(data):
        cell, *more = _called(at)
        found.append((cell + f" ({', '.join(more)})" * bool(more), data.sel(at)))
    return found


def cell_of(data):
    return str(data.cell.values) if "cell" in data.coords else "vanilla"


def layers_of(data):
    return int(data.n_layers.values) if "n_layers" in data.coords else 1


def has_one_matrix(data):
    return cell_of(data) == "vanilla" and layers_of(data) == 1


def numbers_of_a_state(data, n_hidden):
    return layers_of(data) * n_hidden * (2 if cell_of(data) == "lstm" else 1)


def rest_gain(data, radius=1.0):
    """Where g, f + i o g of an LSTM, z + (1 - z) r g of a GRU, is 1 with all other biases 0."""
    bias = float(data.forget_bias) if "forget_bias" in data.coords else 0.0
    keep = 1 / (1 + math.exp(-bias))
    if cell_of(data) == "vanilla":
        return 1 / radius
    if cell_of(data) == "lstm":
        return (1 - keep) / (0.5 * 0.5) / radius
    return (1 - keep) / ((1 - keep) * 0.5) / radius


def facts(analysis, datasets):
    """The sentences of a summary, and names of kinds, without titles, answers and advice."""
    said = analysis.summarise(datasets)
    return [each for each in said if type(each) is str or each.endswith(":")]


def told_as(analysis, datasets, kind):
    """The answers, or the advice, of a summary."""
    return [str(each) for each in analysis.summarise(datasets) if type(each) is kind]
