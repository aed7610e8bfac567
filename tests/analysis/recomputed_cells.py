"""The sentences of `cells` once more, in plain Python."""

import json
import math

from recomputed import LN10, known, median, middle, of_known, percent

NAMES = {"vanilla": "RNN", "gru": "GRU", "lstm": "LSTM"}


def cells(datasets):
    data = datasets["cells"]
    settings = json.loads(data.attrs["configuration"])
    found = []
    for i, cell in enumerate(data.cell.values.tolist()):
        for j, start in enumerate(data.start.values.tolist()):
            if cell == "vanilla" and j > 0:
                continue
            part = {
                name: variable.transpose("cell", "start", "network_seed", ...).values[i, j]
                for name, variable in data.data_vars.items()
                if "network_seed" in variable.dims
            }
            found.append(
                _name(cell, start, settings) + _gradients(part, settings) + _gates(part, cell) + "."
            )
    return found


def _name(cell, start, settings):
    called, layers = NAMES[cell], settings.get("n_layers", 1)
    called += "" if layers == 1 else f" of {layers} layers"
    if cell == "vanilla":
        return f"{called}: "
    value = start.split(" ")[1]
    kind = f"forget bias {value}" if start.startswith("bias") else f"chrono to {value} steps"
    return f"{called}, {kind}: "


def first_tenth(norms):
    """The first lag at which a norm is a tenth of that at lag 0."""
    if not known(norms):
        return math.nan
    return next((k for k, norm in enumerate(norms) if norm <= -LN10), math.inf)


def _gradients(part, settings):
    T = part["log_norm"].shape[1]
    tenth = middle(
        [first_tenth(row) for row in part["log_norm"]],
        lambda k: f"beyond {T - 1}" if math.isinf(k) else f"{k:g}",
    )
    window, reach = (
        middle(part[name], lambda K: f"{K:g}") + of_known(part[name])
        for name in ("sufficient_window", "reach")
    )
    exponent = middle(part["exponent"][:, 0], lambda x: f"{x:+z.3g} nats/step")
    every = "" if settings.get("n_layers", 1) == 1 else " in every layer"
    return (
        f"the first lag with a tenth of the norm is {tenth}; a gradient within "
        f"{percent(settings['tolerance'])}{every} takes a window of {window} of {T} steps, "
        f"{percent(settings['share'])} of dL/dW_hh a window of {reach}; lambda_1 is {exponent}"
    )


def _gates(part, cell):
    if cell == "vanilla":
        return ""
    H = part["exponent"].shape[1]
    predicted = middle(part["predicted_exponent"].max(axis=1), lambda x: f"{x:+z.3g}")
    apart = middle(part["deviation"], lambda x: f"{x:.3g}")
    scale = median(part["time_scale"])
    words = "not known" if math.isnan(scale) else f"{scale:.3g}"
    return (
        f", where gates alone predict {predicted}, with a largest deviation of {apart} over "
        f"{H} exponents; the median unit forgets by e in {words} steps"
    )


def depth(datasets):
    """The sentences of `depth`: of each, its lowest, middle and top layer."""
    data = datasets["depth"]
    settings = json.loads(data.attrs["configuration"])
    T, found = data.sizes["lag"], []
    for i, L in enumerate(data.n_layers.values.tolist()):
        one = {
            name: variable.transpose("n_layers", "network_seed", ...).values[i]
            for name, variable in data.data_vars.items()
        }
        window = middle(one["largest_window"], lambda K: f"{K:g}") + of_known(one["largest_window"])
        first = middle(one["exponent"][:, 0], lambda x: f"{x:+z.3g} nats/step")
        layers = {2: [1, 2]}.get(L, sorted({1, math.ceil(L / 2), L}))
        words = [_into(one, layer) for layer in layers]
        found.append(
            f"{L} layer{'' if L == 1 else 's'}: lambda_1 is {first}; a gradient within "
            f"{percent(settings['tolerance'])} in every layer takes a window of {window} of {T} "
            f"steps; {'; '.join(words)}."
        )
    return found


def _into(one, layer):
    rate, slope = (middle(one[name][:, layer - 1], lambda x: f"{x:+z.3g}") for name in _RATES)
    windows = one["sufficient_window"][:, layer - 1]
    words = middle(windows, lambda K: f"{K:g}") + of_known(windows)
    return (
        f"into layer {layer} the slope over these lags is {slope}, the rate in the end {rate}, "
        f"the window {words}"
    )


_RATES = ("rate", "slope")
