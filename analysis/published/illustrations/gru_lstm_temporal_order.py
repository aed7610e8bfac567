"""Temporal order by GRUs and LSTMs, beside the networks of the paper."""

from dataclasses import dataclass
from typing import Annotated

from matplotlib.figure import Figure

from ...commands.training import TemporalOrder
from ...frame import cells
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...training import temporal_order
from ..rows import Row
from ..same_setting.pascanu_temporal_order import solved_share

CLAIM = (
    "Pascanu, Mikolov and Bengio train networks without gates on the order of two marks. Gates are "
    "said to make such tasks easy: here GRUs and LSTMs of the same size stand beside their "
    "networks, and beside plain ones that are trained as the gated ones are."
)
MISSING = (
    "Any number: the paper has no gated networks. Gated ones, and plain ones beside them, are "
    "trained by Adam at rate 0.003, the ways of training of the paper by SGD at rate 0.01.",
    "Cells at their best: no rate, forget bias or initialisation was looked for.",
)


@dataclass(frozen=True)
class Settings(TemporalOrder):
    """As `rnnsim temporal-order`, at a budget of minutes."""

    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (20, 50, 100)
    n_updates: Annotated[int, flag("Updates of every network.")] = 3000


REDUCED = Settings(
    length=(10, 12), network_seeds=2, n_updates=40, n_hidden=8, test_size=100, record_every=20
)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Ways of training, and kinds of networks, from the same seeds and on the same batches."""
    return temporal_order.compute(settings, progress)


def rows(datasets: Datasets) -> list[Row]:
    """Shares of networks that solve it; nothing was published of gated ones."""
    theirs, ours = datasets["learning"], datasets["cells"].isel(training=0)
    found = []
    for length in theirs.length.values.tolist():
        columns = {str(name): theirs.sel(training=name) for name in theirs.training.values}
        columns |= {
            f"{cells.NAMES[str(cell)]}, Adam": ours.sel(cell=cell) for cell in ours.cell.values
        }
        found += [
            Row(
                f"share solved at length {length}, {name}",
                "",
                solved_share(data.sel(length=length)),
            )
            for name, data in columns.items()
        ]
    return found


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Shares that solve it, and updates they needed: by way of training, and by kind of network."""
    name = "solved-against-length"
    return {name: temporal_order.draw(datasets)[name]}
