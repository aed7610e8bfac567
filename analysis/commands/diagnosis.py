"""A network of a file on data of a file."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from ..frame.settings import CORES, LEARNING, OF_ONES_OWN, Command, flag

USUAL_LENGTH = 200
USUAL_SEQUENCES = 128


@dataclass(frozen=True)
class Diagnose:
    """What is diagnosed, on what, and how one trains it."""

    data: Annotated[
        str | None,
        flag(
            "A file of data: .npz, .npy, .csv, .txt or .safetensors. Class ids go through the "
            "network's embedding. Unless given inputs are drawn from N(0, 1), and nothing can be "
            "said of a loss.",
            OF_ONES_OWN,
        ),
    ] = None
    layout: Annotated[
        str | None, flag("Axes of --data, where names do not say it: tbd or btd.", OF_ONES_OWN)
    ] = None
    window: Annotated[
        int | None, flag("The window K that one trains with, in steps.", LEARNING)
    ] = None
    batch_size: Annotated[
        int | None,
        flag("Sequences of a minibatch; an eighth of those that are read unless given.", LEARNING),
    ] = None
    clip_norm: Annotated[
        float | None,
        flag("The norm that gradients are clipped at, of all weights together.", LEARNING),
    ] = None
    clip_value: Annotated[
        float | None, flag("The value that entries of gradients are clipped at.", LEARNING)
    ] = None
    mean_per_token: Annotated[
        bool,
        Parameter(
            help="Take the mean of the loss over all steps that carry it, as frameworks do, and "
            "not over sequences: for --clip-norm and --clip-value.",
            negative=(),
        ),
    ] = False
    length: Annotated[
        int | None,
        flag(
            "Steps that are read, from the first; all unless given. Of one long sequence, of a "
            f"text and without --data {USUAL_LENGTH} or four windows."
        ),
    ] = None
    n_sequences: Annotated[
        int | None,
        flag(f"Sequences that are read; {USUAL_SEQUENCES} or all there are, unless given."),
    ] = None
    seed: Annotated[int, flag("Seed of which sequences are read, or drawn.")] = 0
    prefix: Annotated[
        tuple[str, ...] | None, flag("Module of FILE that is the network, of several.", OF_ONES_OWN)
    ] = None
    layer: Annotated[int | None, flag("One layer of FILE only, from 0.", OF_ONES_OWN)] = None
    readout: Annotated[
        str | None, flag("Readout of FILE by name, of several; none to leave it out.", OF_ONES_OWN)
    ] = None
    embedding: Annotated[
        str | None, flag("Embedding of FILE by name, for class ids.", OF_ONES_OWN)
    ] = None
    activation: Annotated[
        str | None, flag("tanh, sigmoid, relu or linear, where FILE does not say it.")
    ] = None
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


DIAGNOSE = Command(
    "analysis.diagnosis.command",
    Diagnose,
    (
        "What a network does with gradients and states on its data, with evidence and errors. Two "
        "files are compared. The exit status is 0 whatever is found."
    ),
    (
        "diagnose network.pt",
        "diagnose network.pt --data sequences.npz --window 50 --output report.html",
        "diagnose before.pt after.pt --data sequences.npz --clip-norm 1",
    ),
)
