"""The numbers of every setting: medians and quartiles over networks, as they are shown."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..frame import figures
from ..frame.cells import kinds_of
from ..frame.figures import powers, relative
from ..frame.statistics import median, quantiles
from ..gradients.norm_plots import one_network_set
from ..gradients.truncation_plots import known_errors

Floats = npt.NDArray[np.float64]

NAMES = {"vanilla": "Vanilla network", "lstm": "LSTM", "gru": "GRU"}
MOST_DECADES = 6.0  # where the axis of norms ends at the latest
_QUARTILES = (0.5, 0.25, 0.75)  # the median first
_DIGITS = ((4,), (3,), (3,))  # of decades, of each: a fiftieth of a per cent where words say it


class Kind(NamedTuple):
    """A cell and its forget bias; vanilla networks have none."""

    cell: str
    forget_bias: float | None

    @property
    def name(self) -> str:
        """ "LSTM with forget bias 1"."""
        bias = "" if self.forget_bias is None else f" with forget bias {self.forget_bias:g}"
        return NAMES[self.cell] + bias


class Setting(NamedTuple):
    """What is seen at one setting.

    Attributes
    ----------
    kind : Kind
    gain : float
    length : int
        T.
    norm : ndarray (3, T)
        Power of ten of ||dl_t/dh_{t-k}|| / ||dl_t/dh_t|| at lags k = 0..T-1: median over networks
        and both quartiles; -inf where it is exactly 0, NaN where it is not known.
    error : ndarray (3, T)
        Power of ten of ||g_K - g|| / ||g|| at windows K = 1..T, likewise; -inf where rounding
        hides it.
    sufficient : float
        The window from which on the error stays within the tolerance, median over networks; NaN
        where none is known.
    """

    kind: Kind
    gain: float
    length: int
    norm: Floats
    error: Floats
    sufficient: float

    @property
    def change(self) -> float:
        """Power of ten by which the gradient changes on its way to the first step."""
        return float(self.norm[0, -1])

    def error_at(self, window: int) -> float:
        """Power of ten of the error of a window; a window of T steps and more makes none."""
        return -np.inf if window >= self.length else float(self.error[0, window - 1])


@dataclass(frozen=True, eq=False)
class Numbers:
    """All settings of a dataset: what every picture and sentence is made of.

    Attributes
    ----------
    kinds : tuple of Kind
    gains : tuple of float
        Ascending, as are the lengths.
    lengths : tuple of int
    tolerance : float
    settings : dict of (Kind, float, int) to Setting
    about : dict
        What was measured: task, scheme, sizes, networks, versions.
    """

    kinds: tuple[Kind, ...]
    gains: tuple[float, ...]
    lengths: tuple[int, ...]
    tolerance: float
    settings: dict[tuple[Kind, float, int], Setting]
    about: dict[str, Any]

    def at(self, kind: Kind, gain: float, length: int) -> Setting:
        """One setting."""
        return self.settings[kind, gain, length]

    @property
    def start(self) -> tuple[Kind, float, int, int]:
        """Where sliders begin: the first kind, the gain next to 1, the middle length, a window."""
        length = self.lengths[len(self.lengths) // 2]
        gain = figures.nearest(self.gains, [1.0])[0]
        return self.kinds[0], gain, length, max(1, length // 5)

    @property
    def decades(self) -> float:
        """Where the axis of norms ends, up and down: the same for every setting."""
        medians = np.concatenate([each.norm[0] for each in self.settings.values()])
        most = np.abs(medians[np.isfinite(medians)]).max(initial=0.0)
        return float(np.clip(np.ceil(most), 1.0, MOST_DECADES))

    @property
    def largest_error(self) -> float:
        """Where the axis of errors ends: the same for every setting, between 1 and 2."""
        medians = np.concatenate([each.error[0] for each in self.settings.values()])
        most = 10.0 ** min(medians[np.isfinite(medians)].max(initial=0.0), 1.0)
        return float(np.clip(np.ceil(4 * most) / 4, 1.0, 2.0))

    def to_dict(self) -> dict[str, Any]:
        """As a page holds them; settings by kind, gain and length."""
        return {
            "kinds": [each._asdict() | {"name": each.name} for each in self.kinds],
            "gains": self.gains,
            "lengths": self.lengths,
            "tolerance": self.tolerance,
            "decades": self.decades,
            "largest_error": self.largest_error,
            "start": dict(zip(("kind", "gain", "length", "window"), self._start(), strict=True)),
            "settings": [
                [[_entry(self.at(kind, g, T)) for T in self.lengths] for g in self.gains]
                for kind in self.kinds
            ],
            "about": self.about,
        }

    def _start(self) -> tuple[int, int, int, int]:
        kind, gain, length, window = self.start
        places = (self.kinds.index(kind), self.gains.index(gain), self.lengths.index(length))
        return *places, window


def numbers_of(dataset: xr.Dataset) -> Numbers:
    """The numbers of a dataset that `compute` made.

    Examples
    --------
    >>> from analysis import explore
    >>> tiny = explore.Settings(
    ...     n_hidden=4, network_seeds=3, batch_size=2, gain=(0.0, 1.0), length=(6,),
    ...     cell=("vanilla",), forget_bias=(0.0,),
    ... )
    >>> found = numbers_of(explore.compute(tiny))
    >>> float(found.at(found.kinds[0], 0.0, 6).norm[0, 1])  # without W_hh nothing goes back
    -inf
    """
    settings: dict[tuple[Kind, float, int], Setting] = {}
    kinds = []
    for each in kinds_of({"": dataset}):
        data = one_network_set(each.datasets[""])
        bias = data.coords["forget_bias"].item() if "forget_bias" in data.coords else 0.0
        kind = Kind(each.cell, None if each.cell == "vanilla" else float(bias))
        kinds.append(kind)
        for gain in map(float, data.gain.values):
            for length in map(int, data.length.values):
                here = data.sel(gain=gain, length=length)
                settings[kind, gain, length] = _setting(kind, here)
    first, told = one_network_set(dataset), figures.configuration(dataset)
    gains, lengths = (tuple(first[axis].values.tolist()) for axis in ("gain", "length"))
    about = {name: told[name][0] for name in ("task", "scheme", "activation", "n_hidden")}
    about |= {"batch_size": told["batch_size"], "networks": len(told["network_seed"])}
    about["versions"] = json.loads(dataset.attrs["versions"])
    return Numbers(tuple(kinds), gains, lengths, told["tolerance"], settings, about)


def _setting(kind: Kind, data: xr.Dataset) -> Setting:
    length = int(data.length)
    norms = relative(data.log_norm, "lag").transpose("network_seed", "lag")
    errors = known_errors(data).sel(truncation="sliding").transpose("network_seed", "window")
    norm, error = (_shown(powers(each.values[:, :length])) for each in (norms, errors))
    windows = data.sufficient_window.values
    window = float(median(windows)) if _half_known(windows) else np.nan
    return Setting(kind, float(data.gain), length, norm, error, window)


def _shown(values: Floats) -> Floats:
    """The median and both quartiles over networks, where half of them are known."""
    units = 10.0 ** np.array(_DIGITS)
    found = np.rint(quantiles(values, _QUARTILES) * units) / units + 0.0  # there is no -0
    return np.where(_half_known(values), found, np.nan)


def _half_known(values: Floats) -> Any:
    return np.isnan(values).mean(axis=0) <= 0.5


def _entry(setting: Setting) -> dict[str, Any]:
    return {name: getattr(setting, name) for name in ("norm", "error", "sufficient")}
