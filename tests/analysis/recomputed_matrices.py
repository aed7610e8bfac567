"""The sentences of isometry, spectra and nonnormal, recomputed from their data."""

import math
from itertools import pairwise

import numpy as np
from recomputed import (
    by_kind,
    cell_of,
    layers_of,
    median,
    medians,
    middle,
    nearest,
    numbers_of_a_state,
    of_known,
    percent,
    plain,
    several,
    share,
)

from analysis.frame import figures
from rnnsim import theory

SCHEMES = ("gaussian", "orthogonal", "identity", "uniform")


def isometry(datasets):
    return by_kind(datasets, _products)


def _products(datasets):
    data = datasets["products"]
    H = figures.configuration(data)["n_hidden"]
    data = data.isel(unit=slice(numbers_of_a_state(data, H)))
    words, far = [], []
    for scheme in (s for s in SCHEMES if s in data.scheme.values):
        for gain in data.gain.values:
            here = data.sel(scheme=scheme, gain=gain)
            words.append(_isometry(here, scheme, gain))
            ends = [median(_ranks(here)[i]) for i in (0, 2)]
            far.append(
                (
                    math.nan
                    if ends[0] + ends[1] != ends[0] + ends[1]
                    else max(abs(x) for x in ends),
                    scheme,
                    gain,
                )
            )
    answer = []
    if len(far) > 1 and all(math.isfinite(each[0]) for each in far):
        _, scheme, gain = min(far, key=lambda each: each[0])
        answer = [
            "Nearest to isometry, where gradients keep their length in all directions: "
            f"{scheme} at gain {gain:g}."
        ]
    title = f"Products of Jacobians over {several(int(data.lag[-1]), 'step')}"
    return [title, *answer, *words]


def _ranks(data):
    here, H = data.isel(lag=-1), data.sizes["unit"]
    raw = here.log_singular_value.transpose(..., "unit").values.reshape(-1, H)
    rounding = here.rounding.transpose(..., "unit").values.reshape(-1, H)
    rows = np.where(rounding < 1e-6, raw, np.nan)
    middles = [a if a == b else 0.5 * (a + b) for a, b in rows[:, [H // 2, (H - 1) // 2]]]
    return rows[:, 0], middles, rows[:, -1]


def _isometry(data, scheme, gain):
    here = data.isel(lag=-1)
    H = data.sizes["unit"]
    raw = here.log_singular_value.transpose(..., "unit").values.reshape(-1, H)
    rounding = here.rounding.transpose(..., "unit").values.reshape(-1, H)
    rows = np.where(rounding < 1e-6, raw, np.nan)
    ranks = _ranks(data)
    sizes = [middle(each, lambda x: f"{x:.1f}", "not resolved") for each in ranks]
    notes, ends = [], [median(ranks[0]), median(ranks[2])]
    if np.isfinite(ends).all():
        notes.append(f"spread {ends[0] - ends[1]:.1f} nats")
    counts = {
        "exactly 0": (rows == -np.inf).sum(),
        "not resolved": (np.isnan(rows) & ~np.isnan(raw)).sum(),
        "out of range": np.isnan(raw).sum(),
    }
    notes.append("isometry: all 0")
    if missing := [f"{name}: {n} of {rows.size}" for name, n in counts.items() if n]:
        notes.append(", ".join(missing))
    exponents = data.lyapunov_exponent.transpose("unit", "network_seed").values
    first, last = (middle(exponents[i], lambda x: f"{x:+z.3f}") for i in (0, -1))
    overlap = middle(here.gradient_overlap.values, lambda x: f"{x:.2f}", "not defined")
    return (
        f"{scheme}, gain {gain:g}: after {int(here.lag)} steps the largest, median and smallest "
        f"ln singular values are {sizes[0]}, {sizes[1]} and {sizes[2]} ({'; '.join(notes)}), "
        f"Lyapunov exponents {first} to {last} nats/step; the gradient's overlap with the leading "
        f"direction is {overlap}."
    )


def spectra(datasets):
    words = _matrices(datasets["schemes"]) if "schemes" in datasets else []
    if "steps" in datasets:
        words += by_kind({"steps": datasets["steps"]}, _steps)
    return words


def _matrices(data):
    words = []
    for scheme in (s for s in SCHEMES if s in data.scheme.values):
        one = (
            plain(data.sel(scheme=[scheme])).isel(length=-1).transpose("gain", "network_seed", ...)
        )
        answer, *advice = _fate(one)
        words += [f"W_hh drawn {scheme}", *answer, _spectrum(one, scheme), _growth(one, scheme)]
        words += advice
    return words


def _fate(data):
    """The answer in a list, or none; then the advice, if there is one."""
    rows = _by_radius(data)
    turns, rates = _turns(rows), [row[1] for row in rows]
    if not rows:
        return [[]]
    if len(turns) == 1 and rates[0] < 0:
        at = f"spectral radius {turns[0]}"
        return [
            [
                f"Gradients vanish below {at} (the largest size of an eigenvalue of W_hh), and "
                "grow above it."
            ],
            f"start near {at}, where gradients neither vanish nor grow.",
        ]
    if turns:
        return [["Gradients vanish at some gains and grow at others."]]
    if max(rates) < 0:
        return [["Gradients vanish at every gain."]]
    return [[f"Gradients {'' if min(rates) > 0 else 'keep or '}grow at every gain."]]


def _spectrum(data, scheme):
    some = data.spectral_radius.values > 0
    if not some.any():
        return f"{scheme}: W_hh is 0 at every gain."
    radius, gains = data.spectral_radius.values, data.gain.values[:, None]
    ones = (radius / np.where(gains != 0, np.abs(gains), np.nan))[some]
    expected = 1 / float(theory.spectral_radius(scheme, 1.0))
    departure = median(data.henrici_relative.values[some])
    ratio = median(data.spectral_norm.values[some] / radius[some])
    kreiss, condition = (
        middle(data[name].values[some], lambda x: f"{x:.3g}")
        for name in ("kreiss", "eigenbasis_condition")
    )
    kind = f"not normal (departure {share(departure)} of its norm)"
    kind = "normal" if departure < 1e-6 else kind
    return (
        f"{scheme}: the median spectral radius (largest size of an eigenvalue) of W_hh passes 1 "
        f"at gain {1 / median(ones):.2f} (theory {expected:.2f}); W_hh is {kind}, "
        f"its spectral norm {ratio:.2f} times its radius. The norms of its powers overshoot those "
        f"of its radius {kreiss} times at least (Kreiss constant) and {condition} times at most "
        "(condition of the eigenvectors); medians."
    )


def _by_radius(data):
    rows = []
    for i, gain in enumerate(data.gain.values):
        one = data.isel(gain=i)
        row = [median(one[n].values) for n in ("spectral_radius", "growth_rate", "mean_slope")]
        if math.isfinite(row[1]) and row[0] > 0:
            rows.append((*row, i, float(gain)))
    return sorted(rows, key=lambda row: row[0])


def _turns(rows):
    turns = []
    for (r, y, *_), (r2, y2, *_) in pairwise(rows):
        if (y >= 0) != (y2 >= 0):
            x, x2 = math.log(r), math.log(r2)
            turns.append(f"{math.exp(x - y * (x2 - x) / (y2 - y)):.2f}")
    return turns


def _growth(data, scheme):
    rows = _by_radius(data)
    if not rows:
        return f"{scheme}: no growth rate could be fitted."
    turns = _turns(rows)
    rates = [row[1] for row in rows]
    text = "gradients keep or grow at every gain"
    if turns:
        text = f"the growth rate of gradients changes sign at spectral radius {' and '.join(turns)}"
        text += " (linear networks: 1)"
    elif max(rates) < 0:
        text = "gradients vanish at every gain"
    elif min(rates) > 0:
        text = "gradients grow at every gain"
    if unknown := data.sizes["gain"] - len(rows):
        text += f" (no rate at {unknown} of {data.sizes['gain']} gains)"
    best, last = max(rows, key=lambda row: row[1]), max(rows, key=lambda row: row[3])
    gap = last[1] - math.log(last[0])
    return (
        f"{scheme}: in medians over networks {text}; the largest rate is {best[1]:+z.3f} nats/step "
        f"at radius {best[0]:.2f}. "
        f"At gain {last[4]:g} the rate is {abs(gap):.2f} nats/step "
        f"{'below' if gap < 0 else 'above'} ln(radius), where the mean slope of the units is "
        f"{last[2]:.2f}."
    )


def nonnormal(datasets):
    data = datasets["transients"]
    settings = figures.configuration(data)
    words = ["The same eigenvalues, less and less normal"]
    ends = {}
    for scale in sorted(data.scale.values):
        for kind in data.activation.values:
            row = data.sufficient_window.sel(scale=scale, activation=kind).values
            ends.setdefault(kind, []).append(median(row))
    if all(a <= b for row in ends.values() for a, b in pairwise(row)) and all(
        row[0] < row[-1] for row in ends.values()
    ):
        words.append(
            "With the same eigenvalues gradients need longer windows, the farther W_hh is from "
            "normal."
        )
    words += [
        f"All networks have spectral radius {settings['radius']:g} and, at each scale s of their "
        "departure from normality, the eigenvalues of the same draws."
    ]
    for scale in data.scale.values:
        one = data.sel(scale=scale)
        name = f"s = {scale:g}" + {0.0: " (normal)", 1.0: " (as drawn)"}.get(float(scale), "")
        windows = []
        for kind in one.activation.values:
            row = one.sufficient_window.sel(activation=kind).values
            found = middle(row, lambda x: f"{x:g}", "none found")
            note = of_known(row) if medians(row)[0] == medians(row)[0] else ""
            windows.append(f"{found} ({kind}{note})")
        peak, kreiss = (
            middle(one[n].values, lambda x: f"{math.exp(x):.3g}") for n in ("peak", "log_kreiss")
        )
        words.append(
            f"{name}: departure {middle(one.henrici_relative.values, share)} of the norm; powers "
            f"of W_hh grow by a factor of {peak} at most, at step "
            f"{middle(one.peak_lag.values, lambda x: f'{x:g}')} (Kreiss constant {kreiss}); "
            f"windows for {percent(settings['tolerance'])} error: {', '.join(windows)} (medians)."
        )
    return words


def _steps(datasets):
    data = datasets["steps"]
    schemes = (s for s in SCHEMES if s in data.scheme.values)
    return ["A step of the network", *(_step(data.sel(scheme=s), s) for s in schemes)]


def _step(data, scheme):
    (gain,) = nearest(data.gain.values.tolist(), [data.attrs["spectrum_gain"]])
    here, bias = data.sel(gain=gain), float(data.forget_bias) if "forget_bias" in data.coords else 0
    cell, layers = cell_of(data), layers_of(data)
    keep = 1 / (1 + math.exp(-bias))
    slope = {"vanilla": 1.0, "lstm": 0.25, "gru": (1 - keep) / 2}[cell]
    rho = float(theory.spectral_radius(scheme, 1.0))
    start = 0.0 if cell == "vanilla" else keep
    at_rest, driven = (
        middle(_radii(here[name]), lambda x: f"{x:.2f}")
        for name in ("rest_eigenvalue", "eigenvalue")
    )
    gates = {"vanilla": ["W_hh"], "lstm": list("ifgo"), "gru": list("rzn")}[cell]
    names = [f"{n}: {g}" for n in range(1, layers + 1) for g in gates] if layers > 1 else gates
    norms = [f"{n} {_size(here.block_singular_value.sel(block=n).isel(unit=0))}" for n in names]
    whose = "that of" if names == ["W_hh"] else "those of the blocks of W_hh"
    return (
        f"{scheme}: at gain {gain:g} the spectral radius of a step is {at_rest} at rest (large H: "
        f"{start + slope * abs(gain) * rho:.2f}) and {driven} at the last step, its largest "
        f"singular value there {_size(here.singular_value.isel(value=0))}, {whose} "
        f"{', '.join(norms)} (medians); {_leaving(data, (1 - start) / (slope * rho))}."
    )


def _radii(values):
    """Of every network; of several sequences the median."""
    rows = np.abs(values.transpose("network_seed", ..., "value").values)
    largest = np.fmax.reduce(rows, axis=-1)
    return largest if largest.ndim == 1 else [median(row) for row in largest]


def _size(values):
    return middle(values.values, lambda x: f"{x:.2f}")


def _leaving(data, critical):
    gains = sorted(data.gain.values.tolist())
    radius = [median(_radii(data.rest_eigenvalue.sel(gain=gain))) for gain in gains]
    expected = f" (large H: {critical:.2f})"
    for (g, a), (k, b) in pairwise(zip(gains, radius, strict=True)):
        if a < 1 <= b:
            crossed = g + (1 - a) * (k - g) / (b - a)
            return f"the median radius at rest passes 1 at gain {crossed:.2f}{expected}"
    if max(radius) < 1:
        return f"at rest the median radius stays below 1 at every gain{expected}"
    if min(radius) >= 1:
        return f"at rest the median radius is 1 or more at every gain{expected}"
    return f"the median radius at rest does not rise through 1{expected}"
