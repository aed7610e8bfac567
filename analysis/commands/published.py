"""Published results that can be done again: their names, and what --help says of them."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from ..frame.settings import SIMULATED, Command

# What a deviation means, from the strictest claim to none.
KINDS = {
    "exact": "closed forms and limits: what is computed here must agree within a stated deviation",
    "same setting": "trainings as a paper describes them, at a budget that is stated: another draw",
    "illustration": "what papers say in words or show for other data: nothing is claimed to agree",
}


class Entry(NamedTuple):
    """A published result: its name, kind and title, whose it is, minutes of one core."""

    name: str
    kind: str
    title: str
    source: str
    minutes: float

    @property
    def module(self) -> str:
        """Where it is computed."""
        room = {"exact": "exact", "same setting": "same_setting", "illustration": "illustrations"}
        return f"analysis.published.{room[self.kind]}.{self.name.replace('-', '_')}"


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "influence-balancing", "exact", "Short windows have the wrong sign",
        "Tallec and Ollivier (2018), Unbiased online recurrent optimization, ICLR", 0.1,
    ),
    Entry(
        "gated-eigenvalues", "exact", "Gates shift and shrink eigenvalues",
        "Can, Krishnamurthy and Schwab (2020), Gating creates slow modes and controls phase-space "
        "complexity in GRUs and LSTMs, PMLR 107, 476", 1.0,
    ),
    Entry(
        "chrono-curves", "exact", "What chrono gates keep of a gradient",
        "Tallec and Ollivier (2018), Can recurrent neural networks warp time?, ICLR", 1.0,
    ),
    Entry(
        "depth-binomials", "exact", "Depth makes gradients grow as powers",
        "Paths that are counted, without a paper", 0.1,
    ),
    Entry(
        "critical-noise", "exact", "Noise stops chaos",
        "Molgedey, Schuchhardt and Schuster (1992), Suppressing chaos in neural networks by noise, "
        "Physical Review Letters 69, 3717", 1.0,
    ),
    Entry(
        "one-unit-latch", "exact", "A bit is safe where its gradient vanishes",
        "Bengio, Simard and Frasconi (1994), Learning long-term dependencies with gradient descent "
        "is difficult, IEEE Transactions on Neural Networks 5, 157", 0.1,
    ),
    Entry(
        "newman-products", "exact", "Exponents of products of fresh matrices",
        "Newman (1986), The distribution of Lyapunov exponents: exact results for random matrices, "
        "Communications in Mathematical Physics 103, 121", 0.2,
    ),
    Entry(
        "chaotic-spectra", "exact", "Chaos of random networks is extensive",
        "Clark, Lyapunov spectrum of random neural networks, the data published with its code, "
        "davidclark1/rnn-lyapunov; Engelken, Wolf and Abbott (2020), Lyapunov spectra of chaotic "
        "recurrent neural networks, arXiv 2006.02427", 2.0,
    ),
    Entry(
        "linear-unit", "exact", "Moments of a linear unit and of its windows",
        "Moments of an autoregression of order one, without a paper", 0.5,
    ),
    Entry(
        "pascanu-temporal-order", "same setting", "Which mark came first: clipping and a penalty",
        "Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural "
        "networks, ICML", 6,
    ),
    Entry(
        "irnn-adding", "same setting", "Adding with rectified units that start from the identity",
        "Le, Jaitly and Hinton (2015), A simple way to initialize recurrent networks of rectified "
        "linear units, arXiv 1504.00941", 2,
    ),
    Entry(
        "aicher-copy", "same setting", "A window chosen by its estimated bias",
        "Aicher, Foti and Fox (2019), Adaptively truncating backpropagation through time to "
        "control gradient bias, UAI", 2,
    ),
    Entry(
        "gru-lstm-temporal-order", "illustration", "Which mark came first: GRUs and LSTMs",
        "After Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural "
        "networks, ICML", 11,
    ),
    Entry(
        "forget-bias-adding", "illustration", "Adding with forget gates that begin open",
        "Jozefowicz, Zaremba and Sutskever (2015), An empirical exploration of recurrent network "
        "architectures, ICML", 2,
    ),
    Entry(
        "path-through-c", "illustration", "The constant error carousel, and all other paths",
        "Hochreiter and Schmidhuber (1997), Long short-term memory, Neural Computation 9", 0.5,
    ),
    Entry(
        "h-only-exponents", "illustration", "Lyapunov exponents that do not see the memory cells",
        "Vogt, Puelma Touzel, Shlizerman and Lajoie (2022), On Lyapunov exponents for RNNs, "
        "Frontiers in Applied Mathematics and Statistics 8", 0.5,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Reproduce:
    """How large what is computed is."""

    reduced: Annotated[
        bool,
        Parameter(
            help="Smaller networks, fewer of them: in seconds, with wider deviations.",
            negative=(),
            group=SIMULATED,
        ),
    ] = False


def _listed() -> str:
    lines = []
    for kind, meaning in KINDS.items():
        lines += ["", f"{kind.capitalize()} ({meaning}):"]
        lines += [
            f"  {each.name:26} {each.title} ({_minutes(each.minutes)})"
            for each in ENTRIES
            if each.kind == kind
        ]
    return "\n".join(lines[1:])


def _minutes(minutes: float) -> str:
    return "seconds" if minutes < 1 else f"{minutes:.0f} min of a core"


REPRODUCE = Command(
    "analysis.published.command",
    Reproduce,
    (
        "Published results side by side with ours: one by its name, or all; the figure done again, "
        "every published number beside the one computed here, and a page that says what agrees. "
        "Without a name it lists them."
    ),
    (
        "reproduce",
        "reproduce influence-balancing",
        "reproduce all --reduced --output results/published",
    ),
)
EPILOGUE = _listed()
