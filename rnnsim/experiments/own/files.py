"""Files of one's own, read: networks."""

from pathlib import Path
from typing import Any

from rnnsim.importing.npz import load_network
from rnnsim.networks.stack import Network


def read(path: Path, **options: Any) -> Network:
    """The network of a file; `options` are those of `rnnsim.read_network`, None for not given."""
    known = {name: value for name, value in options.items() if value is not None}
    return load_network(str(path), **known)
