"""Noise that stops the chaos of random networks: how strong it has to be."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim import theory
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import ERRORS, Row, rounding

CLAIM = (
    "A large random network h_t = tanh(W_hh h_{t-1} + noise), W_hh of entries N(0, g^2/H), is "
    "chaotic for g > 1 without noise. White noise of every unit suppresses the chaos: it saturates "
    "units, and beyond a strength that rises with g two trajectories under the same noise meet "
    "again. For large networks the strength is where g^2 E[sech^4] = 1, over the Gaussian "
    "pre-activations, and there lambda_1 crosses 0."
)
MISSING = (
    "Printed numbers: none of the paper could be read here, nor quoted from it elsewhere. What "
    "stands as published are values of the closed form of large networks, as of "
    "rnnsim.theory.critical_input_variance, rounded.",
)
PRINTED = {
    1.5: "0.4314",
    2.0: "1.2790",
    3.0: "3.8834",
    4.0: "7.5898",
}  # noise by gain, its standard deviation
VARIANCES = {
    1.5: "1.1197",
    2.0: "4.2079",
    3.0: "22.5965",
    4.0: "72.1109",
}  # of pre-activations at that noise
RELATIVE = (0.55, 0.75, 0.9, 1.0, 1.1, 1.3)  # noise over the critical one
_VARIABLES = {
    "exponent": Variable(
        ("gain", "noise", "network_seed"), "nats per step", "lambda_1 given the noise"
    ),
    "variance": Variable(("gain", "network_seed"), "1", "of pre-activations at the critical noise"),
    "rate": Variable(
        ("gain", "network_seed"), "nats per step", "of gradients at the critical noise"
    ),
    "noise": Variable((), "1", "standard deviation over the critical one"),
}


@dataclass(frozen=True)
class Settings:
    """How large the networks are, how many, and for how long they run."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 256
    network_seeds: Annotated[int, flag("Networks, the same for all gains.")] = 8
    steps: Annotated[int, flag("Steps T of an exponent.")] = 1000


REDUCED = Settings(n_hidden=100, network_seeds=8, steps=250)


def compute(settings: Settings, progress: bool) -> Datasets:
    """lambda_1 of every network under noise of several strengths around the critical one."""
    H, N, gains = settings.n_hidden, settings.network_seeds, tuple(PRINTED)
    found = {
        "exponent": np.empty((len(gains), len(RELATIVE), N)),
        "variance": np.empty((len(gains), N)),
        "rate": np.empty((len(gains), N)),
    }
    rng = published_draw(0)
    drawn = rng.standard_normal((N, H, H)) / np.sqrt(H)
    noise = rng.standard_normal((N, settings.steps, 1, H))
    with progress_bar.bar(len(gains), show=progress, unit="gain") as advance:
        for j, gain in enumerate(gains):
            for k, relative in enumerate(RELATIVE):
                rnn = _driven(drawn, gain, relative)
                result = rnnsim.lyapunov_spectrum(rnn, noise, n_exponents=1)
                found["exponent"][j, k] = result.exponents[:, 0]
            rnn = _driven(drawn, gain, 1.0)
            found["variance"][j] = _variance(rnn, noise)
            found["rate"][j] = _rate(rnn, noise)
            advance(1)
    axes = {"gain": gains, "noise": RELATIVE, "network_seed": tuple(range(N))}
    about = attributes(vars(settings), {"task": "white noise"})
    return {"noise": labelled(axes, _VARIABLES, found, about)}


def _driven(drawn: npt.NDArray[np.float64], gain: float, relative: float) -> rnnsim.RNN:
    """Networks whose units each read noise of their own, of so many times the critical strength."""
    H = drawn.shape[-1]
    strength = relative * float(np.sqrt(theory.critical_input_variance(gain)))
    W_xh = np.broadcast_to(strength * np.eye(H), drawn.shape)
    return rnnsim.RNN(np.array(W_xh), gain * drawn)


def _variance(rnn: rnnsim.RNN, noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The variance of pre-activations (N,), over units and the later half of the steps."""
    states = rnnsim.forward(rnn, noise).states[:, :, 0]
    start = noise.shape[1] // 2
    pre = np.einsum("nij,ntj->nti", rnn.W_hh, states[:, start:-1], optimize=True)
    pre += noise[:, start:, 0] * rnn.W_xh[0, 0, 0]
    return np.asarray((pre**2).mean(axis=(1, 2)))


def _rate(rnn: rnnsim.RNN, noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rate (N,) of a gradient on its way back, from lag 20 to the first steps."""
    N, T, _, H = noise.shape
    batch = rnnsim.Sequences.from_gradients(noise, dL_dh_final=np.ones((N, 1, H)))
    logs = rnnsim.gradient_flow(rnn, batch, windows=()).log_norms[:, 0]
    return np.asarray((logs[:, -20] - logs[:, 20]) / (T - 40))


def crossings(data: xr.Dataset) -> xr.DataArray:
    """Noise over the critical one at which lambda_1 of each network falls through 0 for good."""
    return xr.apply_ufunc(
        lambda line: _last_fall(line, data.noise.values),
        data.exponent, input_core_dims=[["noise"]], vectorize=True,
    )  # fmt: skip


def _last_fall(line: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> float:
    """Between the last strength of noise with a number above 0 and the next; else an end.

    A network of some hundred units may be no chaos under weak noise, and become so under stronger.
    """
    above = np.flatnonzero(line > 0)
    last = int(above[-1]) if above.size else 0
    if not above.size or last + 1 == line.size:
        return float(at[last])
    share = line[last] / (line[last] - line[last + 1])
    return float(at[last] + share * (at[last + 1] - at[last]))


def _woken(data: xr.Dataset) -> int:
    """How many networks are below 0 at some noise weaker than that of their last fall."""
    earlier = (data.exponent < 0) & (data.noise < crossings(data))
    return int(earlier.any("noise").sum())


def shift(gain: float, strength: float, H: int) -> float:
    """By how much lambda_1 of H units lies off that of large networks, to first order in 1/H.

    ::

        -(3 E[sech^8] / E[sech^4]^2 - 1) / (4 H)

    A step stretches the square of a vector by the mean over units of phi'^2 times a chi^2 of one
    degree of freedom, of relative variance (3 E phi'^4/(E phi'^2)^2 - 1)/H; the mean of half the
    log of a number around 1 is less by a quarter of its variance. Steps are taken as independent.
    """
    q = float(theory.mean_field(gain, input_variance=strength**2).variance)
    x = np.linspace(-20.0, 20.0, 4001)
    density = np.exp(-(x**2) / (2 * q)) / np.sqrt(2 * np.pi * q) * (x[1] - x[0])
    fourth, eighth = (float((density / np.cosh(x) ** power).sum()) for power in (4, 8))
    return -(3 * eighth / fourth**2 - 1) / (4 * H)


def critical_of(gain: float, H: int) -> float:
    """The noise at which lambda_1 of H units is 0 to first order in 1/H, by bisection."""
    low, high = 0.0, float(np.sqrt(theory.critical_input_variance(gain)))
    for _ in range(60):
        middle = 0.5 * (low + high)
        large = theory.mean_field(gain, input_variance=middle**2).largest_exponent
        chaotic = float(large) + shift(gain, middle, H) > 0
        low, high = (middle, high) if chaotic else (low, middle)
    return 0.5 * (low + high)


def rows(datasets: Datasets) -> list[Row]:
    """The critical noise by gain, of large networks and of these; there rates and variances."""
    data = datasets["noise"]
    H, n = figures.configuration(data)["n_hidden"], data.sizes["network_seed"]
    of = f"{ERRORS} standard errors, over {n} networks, and rounding of the printed number"
    found = []
    for gain, published in PRINTED.items():
        large = float(np.sqrt(theory.critical_input_variance(gain)))
        strengths, own = large * crossings(data.sel(gain=gain)), critical_of(gain, H)
        name = f"noise at which lambda_1 is 0, g = {gain:g}"
        why = f"the shift of {H} units to first order in 1/H, {of}"
        found.append(_row(f"{name} (closed form)", published, strengths, large - own, why))
        why = f"the square of the relative shift, {of}"
        name = f"{name}, to first order in 1/H (closed form)"
        found.append(_row(name, f"{own:.4f}", strengths, (large - own) ** 2 / large, why))
    for gain, published in VARIANCES.items():
        name = f"variance of pre-activations at the closed form, g = {gain:g} (closed form)"
        found.append(_row(name, published, data.variance.sel(gain=gain), 0.0, of))
    for gain in PRINTED:
        off = shift(gain, float(np.sqrt(theory.critical_input_variance(gain))), H)
        name = f"rate of gradients at the closed form, g = {gain:g}, to first order in 1/H"
        why = f"the square of the shift, {of}"
        rate = data.rate.sel(gain=gain)
        found.append(_row(name, f"{off:.4f}", rate, off**2, why, "nats per step"))
    return found


def _row(
    name: str, published: str, values: xr.DataArray, extra: float, because: str, unit: str = ""
) -> Row:
    """The mean over networks, with its standard error from their scatter."""
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    allowed = extra + ERRORS * error + rounding(published)
    return Row(name, published, float(values.mean()), allowed, because, unit)


def draw(datasets: Datasets) -> dict[str, Figure]:
    """lambda_1 against noise by gain, and the critical noise against gain."""
    data = datasets["noise"]
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 5.0))
    _draw_exponents(axes[0], data)
    _draw_critical(axes[1], data)
    figures.letter(axes)
    H, n = figures.configuration(data)["n_hidden"], data.sizes["network_seed"]
    figures.caption(
        figure,
        f"{n} networks of {H} units, whose units read white noise each. (a) lambda_1 given the "
        f"noise; it falls through 0 (dotted) at {_where(data)} the noise of large networks"
        f"{_by_then(data)}. (b) "
        "The noise at which lambda_1 is 0, of each network (dots). Dashed: large networks, and "
        f"below them those of {H} units, to first order in 1/H; below the lines is chaos.",
    )
    return {"critical-noise": figure}


def _where(data: xr.Dataset) -> str:
    """Where it crosses, from the least to the largest of the means by gain."""
    means = crossings(data).mean("network_seed").values
    low, high = f"{means.min():.2f}", f"{means.max():.2f}"
    return f"{low} times" if low == high else f"{low} to {high} times"


def _by_then(data: xr.Dataset) -> str:
    """Of networks whose trajectories meet under weaker noise too, if there are any."""
    woken = _woken(data)
    which = "one is" if woken == 1 else f"{woken} are"
    return f"; {which} below 0 at weaker noise too" * (woken > 0)


def _draw_exponents(ax: Axes, data: xr.Dataset) -> None:
    for i, gain, colour in figures.shaded(data.gain.values.tolist()):
        values = data.exponent.sel(gain=gain).transpose("network_seed", "noise").values
        style: dict[str, Any] = {"label": f"$g$ = {gain:g}", "color": colour, "index": i}
        figures.seeds_and_median(ax, data.noise, values, **style)
    ax.axhline(0.0, **figures.mark())
    ax.set_xlabel("noise over that of large networks (1)")
    ax.set_ylabel(r"$\lambda_1$ (nats per step)")
    ax.legend(loc="upper right")


def _draw_critical(ax: Axes, data: xr.Dataset) -> None:
    gains = np.linspace(1.0, 1.05 * float(data.gain.max()), 100)
    ax.plot(gains, np.sqrt(theory.critical_input_variance(gains)), **figures.theory(label="theory"))
    own = [critical_of(gain, figures.configuration(data)["n_hidden"]) for gain in gains[5::5]]
    ax.plot(gains[5::5], own, **figures.theory(lw=figures.pt(1.0)))
    for gain in data.gain.values.tolist():
        strengths = crossings(data.sel(gain=gain)).values
        strengths = strengths * float(np.sqrt(theory.critical_input_variance(gain)))
        label = "networks" if gain == float(data.gain[0]) else "_"
        ax.plot(
            np.full(strengths.size, gain), strengths, ls="", marker="o", alpha=0.6,
            color=figures.MEASURED, label=label,
        )  # fmt: skip
    ax.set_xlabel("gain $g$ (1)")
    ax.set_ylabel("standard deviation of critical noise (1)")
    ax.legend(loc="upper left")
