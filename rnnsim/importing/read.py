"""Networks from files of any framework, and from mappings of arrays in memory."""

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.importing.contents import Contents, Entry
from rnnsim.importing.formats import arrays_files, torch_files
from rnnsim.importing.names import own, torch
from rnnsim.importing.selection import Choice, checked_choice, network_of
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Stack
