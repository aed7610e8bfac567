"""Figures and sentences of several cells and depths: each kind of networks under its name."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text

import rnnsim
from rnnsim import theory

from . import figures
from .words import Heading

Datasets = dict[str, xr.Dataset]

AXES = ("cell", "forget_bias", "n_layers")
NAMES = {"vanilla": "vanilla networks", "lstm": "LSTM", "gru": "GRU"}
_LINES = 4  # in one panel
_STATE = r" ($h$ in $\partial h$: %s)"
_RESTING = ("tanh", "linear")  # phi of vanilla networks whose rest is h = 0, with slope 1


class Kind(NamedTuple):
    """One kind of networks: its cell, what it is called, the end of names of files, datasets."""

    cell: str
    name: str
    suffix: str
    datasets: Datasets
    n_layers: int = 1


def cell_of(dataset: xr.Dataset) -> str:
    """The cell of a dataset of one kind."""
    return str(dataset["cell"].item()) if "cell" in dataset.coords else "vanilla"


def is_gated(dataset: xr.Dataset) -> bool:
    """Whether there are gates."""
    return cell_of(dataset) != "vanilla"


def layers_of(dataset: xr.Dataset) -> int:
    """The number of layers of a dataset of one kind."""
    return int(dataset["n_layers"]) if "n_layers" in dataset.coords else 1


def is_plain(dataset: xr.Dataset) -> bool:
    """Whether a step is phi of one W_hh, so that theories of vanilla networks may hold."""
    return not is_gated(dataset) and layers_of(dataset) == 1


def forget_bias_of(dataset: xr.Dataset) -> float:
    """The forget bias of a dataset of one kind."""
    return float(dataset["forget_bias"]) if "forget_bias" in dataset.coords else 0.0


def gain_at_rest(dataset: xr.Dataset, scheme: str, activation: str = "tanh") -> float | None:
    """The gain at which large networks of one kind, without input, leave rest.

    That of a stack is that of its layers, whose Jacobians at rest stand along the diagonal of its
    own. None where rest is not h = 0: PyTorch draws biases at random, other phi are not 0 at 0.
    """
    if scheme not in rnnsim.SCHEMES or activation not in _RESTING:
        return None
    critical = theory.critical_gain_at_rest(cell_of(dataset), forget_bias=forget_bias_of(dataset))
    return float(critical / theory.spectral_radius(scheme, 1.0))


def state_size(dataset: xr.Dataset, n_hidden: int) -> int:
    """Numbers of a state: those of h and of c for LSTMs, of all layers."""
    numbers = 2 * n_hidden if cell_of(dataset) == "lstm" else n_hidden
    return numbers * layers_of(dataset)


def last_index(dataset: xr.Dataset) -> str:
    """The index of the last of a state's numbers: "H", "2H"."""
    times = state_size(dataset, 1)
    return "H" if times == 1 else f"{times}H"


def units(dataset: xr.Dataset, activation: str) -> str:
    """What units are called: "tanh units", "LSTM units", of stacks "... in each of 2 layers"."""
    name = NAMES[cell_of(dataset)] if is_gated(dataset) else activation
    return f"{name} units{in_each_layer(dataset)}"


def in_each_layer(dataset: xr.Dataset) -> str:
    """ " in each of 2 layers", of one layer nothing."""
    layers = layers_of(dataset)
    return f" in each of {layers} layers" * (layers > 1)


def own_of(dataset: xr.Dataset) -> str:
    """The file, or kind, of networks of one's own in place of draws; "" where there are none."""
    return str(figures.configuration(dataset).get("weights") or "")


def own_in_words(dataset: xr.Dataset) -> list[str]:
    """What must be said of data and networks of one's own; of draws that read a task nothing."""
    name, settings = own_of(dataset), figures.configuration(dataset)
    task = np.ravel(settings.get("task", ""))[0]
    reads = f"reads {task.replace('_', ' ') if task in rnnsim.tasks.TASKS else task}"
    reads = reads if settings.get("driven", True) else "has no input"
    if not name:
        return [] if task in ("", *rnnsim.tasks.TASKS) else [f"Every network {reads}."]
    without = "; it has no outputs, and its loss is a random linear functional of its states"
    return [
        f"The network is that of {name} and {reads}{without * lacks_outputs(dataset)}. Gain is a "
        "factor of its W_hh, 1 as it is."
    ]


def lacks_outputs(dataset: xr.Dataset) -> bool:
    """Whether networks of one's own have no outputs, and a loss that experiments gave them."""
    where = json.loads(dataset.attrs.get("provenance", "{}"))
    return any(key.rpartition(".")[2] == "functional" for key in where)


def read_in_words(task: str) -> str:
    """The task, or the data, as figures say it."""
    return figures.plain(task if "." in task else task.replace("_", " "))


def kinds_of(datasets: Datasets) -> list[Kind]:
    """The kinds that there are, in their order; one without a name where nothing was chosen.

    Those of one's own are called by their file and cell.
    """
    found = _kinds_of(datasets)
    own = own_of(next(iter(datasets.values())))
    if not own:
        return found
    several = next(iter(datasets.values())).sizes.get("network_seed", 1) > 1
    return [
        kind._replace(name=f"{own}, {_of_one(kind.name or name_of(), several=several)}")
        for kind in found
    ]


def _of_one(name: str, *, several: bool) -> str:
    """The name of a kind of which there may be one network alone."""
    return name if several else name.replace("networks", "network")


def _kinds_of(datasets: Datasets) -> list[Kind]:
    axes = [axis for axis in AXES if any(axis in data.dims for data in datasets.values())]
    if not axes:
        return [Kind("vanilla", "", "", datasets)]
    labels = {axis: _labels(datasets, axis) for axis in axes}
    places = [
        {axis: labels[axis][i] for axis, i in zip(axes, at, strict=True)}
        for at in np.ndindex(*(len(labels[axis]) for axis in axes))
    ]
    there = [p for p in places if p.get("cell") != "vanilla" or p.get("forget_bias", 0.0) == 0.0]
    return [
        Kind(
            place.get("cell", "vanilla"),
            name_of(**place),
            _suffix(**place) * (len(there) > 1),
            {name: _of_kind(data, place) for name, data in datasets.items()},
            place.get("n_layers", 1),
        )
        for place in there
    ]


def name_of(
    cell: str = "vanilla", forget_bias: float | None = None, n_layers: int | None = None
) -> str:
    """ "LSTM, forget bias 1, 2 layers"; vanilla networks have no forget bias."""
    gated = cell != "vanilla" and forget_bias is not None
    depth = "" if n_layers is None else f", {n_layers} layer{'s' * (n_layers > 1)}"
    return NAMES[cell] + (f", forget bias {forget_bias:g}" if gated else "") + depth


def drawn(
    datasets: Datasets,
    draw: Callable[[Datasets], Mapping[str, Figure]],
    compare: Callable[[Sequence[Kind]], Mapping[str, Figure]] | None = None,
    *,
    state: str = _STATE,
) -> dict[str, Figure]:
    """The figures of every kind, each with the kind above it; of several, what compares them.

    `state` says what is of the whole state of an LSTM, and of all layers of a stack, in figures
    that have it: all of them, or those in which gradients with respect to h stand.
    """
    found: dict[str, Figure] = {}
    kinds = kinds_of(datasets)
    if compare is not None and len(kinds) > 1:
        found |= compare(kinds)
    for kind in kinds:
        for name, figure in draw(kind.datasets).items():
            whole = _whole(kind) * (state != _STATE or _has_gradients(figure))
            _entitle(
                figure, figures.plain(kind.name) + (state.replace("%s", whole) if whole else "")
            )
            found[name + kind.suffix] = figure
    return found


def _has_gradients(figure: Figure) -> bool:
    """Whether gradients with respect to h, or Jacobians, stand in the words of a figure."""
    return any(r"\partial h" in text.get_text() for text in figure.findobj(Text))


def _whole(kind: Kind) -> str:
    """What a state is, where it is more than h of one layer."""
    pairs = " $(h, c)$" * (kind.cell == "lstm")
    if kind.n_layers > 1:
        return f"the states{pairs} of all layers"
    return f"the state{pairs}" if pairs else ""


def told(datasets: Datasets, summarise: Callable[[Datasets], Sequence[str]]) -> list[str]:
    """The sentences of every kind, each kind under its name."""
    found: list[str] = []
    for kind in kinds_of(datasets):
        first = next(iter(kind.datasets.values()))
        upper = kind.name[:1] if own_of(first) else kind.name[:1].upper()
        found += [Heading(f"{upper}{kind.name[1:]}:")] if kind.name else []
        found += own_in_words(first)
        found += summarise(kind.datasets)
    return found


def beside(
    kinds: Sequence[Kind],
    gains: Sequence[float],
    plot: Callable[[Kind, float, Axes, dict[str, Any]], Any],
) -> tuple[Figure, Any]:
    """Panels with a column for each gain; a row for each cell where there are more than four kinds.

    ``plot(kind, gain, ax, style)`` draws one line and its seeds; style has label, color and index.
    """
    rows = _rows(kinds)
    looks = _looks(rows)
    size = (4.7 * max(len(gains), 2) + 0.5, 4.2 * len(rows) + 1.0)
    figure, axes = figures.new_figure(
        len(rows), len(gains), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for i, j in np.ndindex(axes.shape):
        for kind in rows[i]:
            plot(kind, float(gains[j]), axes[i, j], {"label": kind.name} | looks[kind.name])
    figures.entitle(axes, [f"gain {gain:g}" for gain in gains])
    figures.label_outer(figure)
    figures.legend_above(
        figure,
        [
            Line2D([], [], color=look["color"], marker=figures.MARKERS[look["index"]], label=name)
            for name, look in looks.items()
        ],
    )
    return figure, axes


def _looks(rows: Sequence[Sequence[Kind]]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each kind: those of its cell, lighter and others for further ones."""
    kinds, places = [kind for row in rows for kind in row], list(figures.CELLS)
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = [places.index(kind.cell) for kind in row]
        free = [i for i in range(len(figures.MARKERS)) if i not in own]
        for i, kind in enumerate(row):
            same = [other.name for other in kinds if other.cell == kind.cell]
            pale = 0.65 * same.index(kind.name) / max(len(same) - 1, 1)
            color = tuple((1 - pale) * part + pale for part in to_rgb(figures.CELLS[kind.cell]))
            index = own[i] if own[i] not in own[:i] else free.pop(0)
            found[kind.name] = {"color": color, "index": index}
    return found


def _entitle(figure: Figure, name: str) -> None:
    """The name above all panels, and above a legend that stands there."""
    if figure.legends and name:
        size = FontProperties(size=mpl.rcParams["figure.titlesize"])
        room = figure.get_figwidth() - 0.3
        figure.legends[0].set_title(figures.wrapped(name, room, size.get_size()), prop=size)
    elif name:
        figure.suptitle(name, wrap=True)


def _rows(kinds: Sequence[Kind]) -> list[Sequence[Kind]]:
    """All of them, or those of each cell, four at a time."""
    groups = {kind.cell: [k for k in kinds if k.cell == kind.cell] for kind in kinds}
    together = [list(kinds)] if len(kinds) <= _LINES else list(groups.values())
    return [row[i : i + _LINES] for row in together for i in range(0, len(row), _LINES)]


def _labels(datasets: Datasets, axis: str) -> list[Any]:
    data = next(data for data in datasets.values() if axis in data.dims)
    return list(data[axis].values.tolist())


def _suffix(cell: str = "", forget_bias: float | None = None, n_layers: int | None = None) -> str:
    gated = cell not in ("", "vanilla") and forget_bias is not None
    depth = "" if n_layers is None else f"-{n_layers}-layer{'s' * (n_layers > 1)}"
    return f"-{cell}" * bool(cell) + (f"-forget-bias-{forget_bias:g}" if gated else "") + depth


def _of_kind(dataset: xr.Dataset, place: Mapping[str, Any]) -> xr.Dataset:
    """The dataset of one kind; states of other cells may have more numbers than its own."""
    data = dataset.sel(place)
    n_hidden = data["n_hidden"].max() if "n_hidden" in data.coords else None
    H = figures.configuration(data)["n_hidden"] if n_hidden is None else int(n_hidden)
    shorter = {axis: slice(state_size(data, H)) for axis in ("exponent", "unit")}
    shorter["layer"] = slice(layers_of(data))
    return data.isel({axis: part for axis, part in shorter.items() if axis in data.dims})
