"""Numbers of summaries and captions once more, in plain Python: for tests of words alone."""

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
    return "" if size == found else f" (known of {found} of {size} networks)"


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


def nearest(values, wanted):
    return sorted({min(values, key=lambda v: abs(v - w)) for w in wanted})


def plain(dataset, **chosen):
    """Axes of one entry dropped, gains and lengths ascending."""
    for axis in ("gain", "length"):
        if axis in dataset.dims:
            dataset = dataset.isel({axis: np.argsort(dataset[axis].values)})
    single = ("task", "scheme", "activation", "n_hidden", "data_seed")
    return dataset.isel({axis: 0 for axis in single if axis in dataset.dims}).sel(chosen)
