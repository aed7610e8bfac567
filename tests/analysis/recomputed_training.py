"""The sentences of temporal-order and training, recomputed from their data."""

import math

import numpy as np
from recomputed import (
    LN10,
    by_kind,
    by_name,
    cell_of,
    median,
    middle,
    names,
    nearest,
    several,
    share,
)

from analysis.frame import figures


def temporal_order(datasets):
    data = datasets["learning"]
    methods = {name: data.sel(training=name) for name in data.training.values.tolist()}
    if "cells" not in datasets:
        return [_BY_METHOD, *_columns(methods, "", "method")]
    cells = datasets["cells"]
    kinds = {name: part.sel(training="clipping") for name, part in by_name(cells)}
    settings = figures.configuration(cells)
    answer, *others = _columns(kinds, " of each kind", "kind", apart=True)
    return [
        _BY_METHOD,
        *_columns(methods, "", "method"),
        "Kinds of networks",
        *answer,
        "Kinds of networks beside each other, our own and not of Pascanu et al. (2013): trained by "
        f"{settings['optimizer']} at rate {settings['learning_rate']:g}, clipped at norm "
        f"{settings['clip_norm']:g}, from the same seeds, with the same batches.",
        *others,
    ]


_BY_METHOD = "Ways of training, as Pascanu et al. (2013) compare them"


def _most(columns, length, n):
    """What solves most of the longest sequences, where some solve less."""
    solved = {
        name: sum(x == x for x in data.solved_at.sel(length=length).values)
        for name, data in columns.items()
    }
    most = max(solved.values())
    best = [name for name in solved if solved[name] == most]
    if not most:
        return [f"At length {length} nothing is solved."]
    text = f"At length {length} most is solved by {' and '.join(best)}: {most} of "
    return [f"{text}{several(n, 'network')}."] if len(best) < len(solved) else []


def _columns(columns, networks, axis, apart=False):
    first = next(iter(columns.values()))
    budget, n = int(first.updates[-1]), first.sizes["network_seed"]

    def number(x):
        return f"{x:g}" if math.isfinite(x) else f"more than {budget}"

    lengths = sorted(first.length.values.tolist())
    answer = _most(columns, lengths[-1], n)
    words = [answer] if apart else answer
    for length in lengths:
        counts, medians = [], []
        for name, data in columns.items():
            at = data.solved_at.sel(length=length).values
            counts.append(f"{name} {sum(v == v for v in at)}")
            medians.append(f"{name} {middle(np.where(np.isnan(at), np.inf, at), number)}")
        words.append(
            f"At length {length}, of {several(n, 'network')}{networks} solved within {budget} "
            f"updates: {', '.join(counts)}; median updates (unsolved: more than {budget}): "
            f"{', '.join(medians)}."
        )
    ends = {name: d.error.sel(length=lengths[-1]).isel(updates=-1) for name, d in columns.items()}
    errors = [f"{name} {middle(end, share)}" for name, end in ends.items()]
    words.append(
        f"Median share of wrong answers at length {lengths[-1]}, at the end: {', '.join(errors)}."
    )
    if lost := sum(int((data.diverged.values >= 0).sum()) for data in columns.values()):
        words.append(
            f"{several(lost, 'network')} left the floating-point range and "
            f"{'was' if lost == 1 else 'were'} frozen, of "
            f"{len(columns) * len(lengths) * n} (one for each length, {axis} and seed)."
        )
    return words


def training(datasets):
    return by_kind(datasets, _training)


def _training(datasets):
    data = datasets["training"]
    if "layer" in data.dims and int(data.n_layers) == 1:
        data = data.sel(layer=1)
    gains = [data.sel(gain=gain) for gain in data.gain.values]
    answer, advice = _learned(gains)
    words = ["What is learned", answer, *(_learning(one) for one in gains), *advice]
    words += ["What becomes of gradients", *(_dynamics(one) for one in gains)]
    if cell_of(data) != "vanilla":
        words += ["Gates", *(each for one in gains for each in _gates(one))]
    words += ["What truncation would lose", *(_bias(one) for one in gains)]
    if lost := int((data.diverged.values >= 0).sum()):
        words += [
            "Networks that were lost",
            f"{several(lost, 'network')} left the floating-point range and "
            f"{'was' if lost == 1 else 'were'} frozen, of {data.diverged.size}.",
        ]
    return words


def _learned(gains):
    shares = {}
    for one in gains:
        final = one.loss.isel(updates=-1).values.tolist()
        shares[float(one.gain)] = sum(x < 0.1 * float(one.constant_loss) for x in final)
    n = gains[0].sizes["network_seed"]
    yes = [gain for gain, count in shares.items() if count / n > 0.5]
    no = [gain for gain, count in shares.items() if count / n <= 0.5]
    many = "more than half of the networks learn the task"
    if not yes or not no:
        text = f"From every gain {many}." if yes else f"From no gain do {many}."
    else:
        text = f"M{many[1:]} from {names(yes, '')}, not from {names(no, '')}."
    ranked = sorted(shares, key=shares.get)
    if len(ranked) > 1 and shares[ranked[-1]] > shares[ranked[-2]]:
        return text, [f"start from gain {ranked[-1]:g}."]
    return text, []


def _learning(data):
    updates, constant = data.updates.values, float(data.constant_loss)
    final = [x if x == x else math.inf for x in data.loss.isel(updates=-1).values]
    made = clipped = 0.0
    for seed in range(data.sizes["network_seed"]):
        one = data.isel(network_seed=seed)
        lost = int(one.diverged)
        for i in range(1, len(updates)):
            end = min(updates[i], lost - 1) if lost >= 0 else updates[i]
            count, fraction = max(0, end - updates[i - 1]), float(one.clipped[i])
            if count and fraction == fraction:
                made += count
                clipped += count * fraction
    part = share(clipped / made) if made else "none"
    norms = [x for x in data.largest_log_gradient_norm.values.ravel() if x == x]
    highest = "is not known"
    if norms:
        largest = f"{math.exp(max(norms)):.3g}"
        highest = f"peaks at {largest} (the largest of all networks and updates)"
    return (
        f"From gain {float(data.gain):g}, {sum(x < 0.1 * constant for x in final)} of "
        f"{several(len(final), 'network')} {'comes' if len(final) == 1 else 'come'} "
        "below a tenth of the loss of always giving the same answer "
        f"({constant:.2f}) within {int(updates[-1])} updates; the median ends at "
        f"{middle(final, lambda x: f'{x:.2g}')}, {part} of updates were "
        f"clipped, and the gradient's norm {highest}."
    )


def _from_to(rows, form):
    first, last = (middle(rows[i], lambda x: format(x, form)) for i in (0, -1))
    return f"from {first} to {last}"


def _gate_rows(data, variable, axis):
    """By gate, (records, networks): of stacks the largest of all layers."""
    for gate in {"lstm": "ifgo", "gru": "rzn"}[cell_of(data)]:
        values = data[variable].sel(gate=gate)
        if "layer" in values.dims:
            values = values.transpose("layer", axis, "network_seed").values
            yield gate, np.fmax.reduce(values)
        else:
            yield gate, values.transpose(axis, "network_seed").values


def _strength(data):
    depth = int(data.n_layers) if "n_layers" in data.coords else 1
    if cell_of(data) != "vanilla":
        parts = _gate_rows(data, "gate_spectral_norm", "updates")
        words = ", ".join(f"{gate} {_from_to(rows, '.2f')}" for gate, rows in parts)
        largest = " (the largest of all layers)" if depth > 1 else ""
        return f"spectral norm of each gate's block of W_hh{largest} goes {words}"
    radius = data.spectral_radius
    if depth == 1:
        rows = radius.transpose("updates", "network_seed").values
        return f"spectral radius goes {_from_to(rows, '.2f')}"
    words = []
    for layer in range(1, depth + 1):
        rows = radius.sel(layer=layer).transpose("updates", "network_seed").values
        words.append(f"layer {layer} {_from_to(rows, '.2f')}")
    return f"spectral radius goes {', '.join(words)}"


def _dynamics(data):
    exponent = data.lyapunov_exponent.transpose("snapshot", "network_seed").values
    norms = data.log_norms.transpose("lag", "snapshot", "network_seed").values
    first = np.where(np.isfinite(norms[0]), norms[0], np.nan)
    left = (norms[-1] - first) / LN10
    return (
        f"From gain {float(data.gain):g} the median {_strength(data)}, the largest Lyapunov "
        f"exponent {_from_to(exponent, '+z.2f')} nats/step; the power of ten of what is left of a "
        f"gradient after {int(data.lag[-1])} steps goes {_from_to(left, '+z.1f')} (-inf: nothing)."
    )


def _gates(data):
    start = f"From gain {float(data.gain):g} the"
    yield f"{start} median share of each gate in dL/dW_hh goes {_by_gate(data, 'gate_share')}."
    if "gate_mean" not in data:
        return
    yield f"{start} median of each gate's mean goes {_by_gate(data, 'gate_mean')}."
    spans = []
    for name, one in _layers(data, "gate_time_scale"):
        rows = one.gate_time_scale.transpose("snapshot", "network_seed", "unit").values
        with np.errstate(divide="ignore"):
            times = [[median(np.log(units)) for units in row] for row in rows]
        first, last = (middle(times[i], lambda x: f"{np.exp(x):.3g}") for i in (0, -1))
        spans.append((f"in {name} " if name else "") + f"from {first} to {last}")
    never = " (inf: never)" if "inf" in "".join(spans) else ""
    keeps = "f" if cell_of(data) == "lstm" else "z"
    yield (
        f"{start} time scale of {keeps}, in which it alone shrinks what a unit keeps by e, goes "
        f"{', '.join(spans)} steps{never}: medians over networks of those over units."
    )


def _layers(data, name):
    if "layer" not in data[name].dims:
        return [("", data)]
    return [(f"layer {k}", data.sel(layer=k)) for k in range(1, int(data.n_layers) + 1)]


def _by_gate(data, name):
    words = []
    for layer, one in _layers(data, name):
        parts = _gate_rows(one, name, "snapshot")
        text = ", ".join(f"{gate} {_from_to(rows, 'z.2f')}" for gate, rows in parts)
        words.append(f"in {layer} {text}" if layer else text)
    return "; ".join(words)


def _bias(data):
    windows = data.window.values.tolist()
    wanted = figures.configuration(data)["window"] or 0.5 * windows[-1]
    (K,) = nearest(windows, (wanted,))
    whole = data.window_log_error.isel(window=-1).transpose("snapshot", "network_seed").values
    errors = data.window_log_error.sel(window=K).transpose("snapshot", "network_seed").values
    errors = np.where(np.isnan(errors) & (whole == -np.inf), -np.inf, errors)

    def size(x):
        return f"{math.exp(x):.2g}" if x > -math.inf else "less than is known"

    first, last = (middle(errors[i], size) for i in (0, -1))
    return (
        f"From gain {float(data.gain):g} a window of {K:g} steps would lose {first} of the full "
        f"gradient at the start and {last} at the end (medians)."
    )
