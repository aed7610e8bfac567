"""What all tasks share: checks of a draw, parts of a data set, where the answer is due."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences

Seed = int | np.random.Generator
Dtype = npt.DTypeLike


# To learn from, to look at once, and to choose by; no item is in two of the last three.
PARTS = ("all", "train", "test", "validation")


def part_of(part: str, n_items: int) -> slice:
    """All of so many items, the first eight tenths of them, the last tenth, or the one before."""
    cuts = [n_items * tenths // 10 for tenths in (0, 8, 9, 10)]
    bounds = {"all": (0, 3), "train": (0, 1), "test": (2, 3), "validation": (1, 2)}
    first, last = bounds[checks.one_of("part", part, PARTS)]
    return slice(cuts[first], cuts[last])


def length(n_steps: int, least: int, reason: str) -> int:
    """`n_steps`, at least so many, with the reason."""
    steps = checks.size("n_steps", n_steps)
    if steps < least:
        raise ValueError(f"`n_steps` must be at least {least} {reason}, got {steps}")
    return steps


def border(
    n_sequences: int, dtype: Any, rng: Any
) -> tuple[int, np.dtype[Any], np.random.Generator]:
    """B, the dtype and the generator of a draw."""
    B = checks.size("n_sequences", n_sequences)
    return B, checks.float_dtype("dtype", dtype), checks.generator(rng)


def provenance(task: str, variant: str, **options: Any) -> dict[str, str]:
    """What a draw says about itself."""
    return {"task": task, "variant": variant} | {key: str(v) for key, v in options.items()}


def drawn_once(
    generator: np.random.Generator, n_items: int, n_sequences: int, items: str
) -> npt.NDArray[np.int64]:
    """`n_sequences` different ones of so many items, in random order."""
    if n_items < n_sequences:
        raise ValueError(
            f"`n_sequences` must be at most {n_items}, the {items}, got {n_sequences}; "
            "draw several batches"
        )
    return generator.choice(n_items, n_sequences, replace=False)


def many_to_one(inputs: FloatArray, answers: npt.NDArray[Any], origin: dict[str, str]) -> Sequences:
    """Loss at the last step only, where the answers, (B,) classes or (B, V) values, are due."""
    targets = np.zeros((len(inputs), *answers.shape), answers.dtype)
    weights = np.zeros(inputs.shape[:2], inputs.dtype)
    targets[-1], weights[-1] = answers, 1
    return Sequences(inputs, targets, weights, provenance=origin)
