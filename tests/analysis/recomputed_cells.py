"""The sentences of `cells` once more, in plain Python."""

import json
import math

from recomputed import LN10, known, median, medians, middle, of_known, percent, several

NAMES = {"vanilla": "RNN", "gru": "GRU", "lstm": "LSTM"}


def cells(datasets):
    data = datasets["cells"]
    settings = json.loads(data.attrs["configuration"])
    found, tenths = [], {}
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
            name = _name(cell, start, settings).removesuffix(": ")
            tenths[name] = medians([first_tenth(row) for row in part["log_norm"]])[0]
    tenths = {name: lag for name, lag in tenths.items() if lag == lag}
    far = [name for name, lag in tenths.items() if lag == max(tenths.values())]
    answer = [f"Gradients reach farthest back in {' and in '.join(far)}."]
    return ["Cells side by side", *answer * (len(far) < len(tenths)), *found]


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
        f"{percent(settings['share'])} of dL/dW_hh a window of {reach}; the largest "
        f"Lyapunov exponent is {exponent}"
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
    T, found, ends = data.sizes["lag"], [], {}
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
            f"{L} layer{'' if L == 1 else 's'}: the largest Lyapunov exponent is {first}; a "
            f"gradient within {percent(settings['tolerance'])} in every layer takes a window of "
            f"{window} of {T} steps; {'; '.join(words)}."
        )
        ends[L] = one["largest_window"]
    ends = {L: median(ends[L]) for L in sorted(ends) if all(x == x for x in ends[L])}
    answer, advice = [], []
    if len(ends) == len(found) > 1 and sorted(set(ends.values())) == list(ends.values()):
        steps = ", ".join(f"{K:g}" for K in ends.values())
        layers = ", ".join(map(str, ends))
        answer = [f"Deeper stacks need longer windows: {steps} steps for {layers} layers."]
    if ends:
        K, stack = math.ceil(ends[max(ends)]), several(max(ends), "layer")
        advice = [f"train {stack} through {several(K, 'step')} or more."]
        advice = advice if K < T else [f"do not truncate {stack}."]
    return ["Stacks, layer by layer", *answer, *found, *advice]


def _into(one, layer):
    rate, slope = (middle(one[name][:, layer - 1], lambda x: f"{x:+z.3g}") for name in _RATES)
    windows = one["sufficient_window"][:, layer - 1]
    words = middle(windows, lambda K: f"{K:g}") + of_known(windows)
    return (
        f"into layer {layer} the slope over these lags is {slope}, the rate in the end {rate}, "
        f"the window {words}"
    )


_RATES = ("rate", "slope")
