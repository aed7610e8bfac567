"""Files of one's own, read: networks and data by the names of their files."""

from typing import Any

from rnnsim import checks
from rnnsim.experiments.own.data import File, usual_sequences, usual_steps
from rnnsim.experiments.own.networks import Own, of_file
from rnnsim.importing.data_files import open_data


def network_file(path: Any, **options: Any) -> Own:
    """The network of a file; `options` are those of `rnnsim.read_network`, None for not given."""
    return of_file(checks.path("weights", path), **options)


def fitting(
    data: File, length: int | tuple[int, ...], batch_size: int, *, batches: bool = False
) -> tuple[Any, int]:
    """Length or lengths, and batch size, that were left as they are, no more than data have."""
    longest = usual_steps(data, length if isinstance(length, int) else max(length), batches=batches)
    size = usual_sequences(data, batch_size, longest, batches=batches)
    if isinstance(length, int):
        return longest, size
    return (*(T for T in length if longest > T), longest), size


def data_file(path: Any, layout: str | None = None) -> File:
    """The data of a file."""
    with checks.renamed(path="`data`"):
        data = open_data(checks.path("data", path), layout=layout)
    return File(data, data.name)
