"""What findings say together: the verdict, and what to try where the data say so."""

import math
from collections.abc import Mapping

from rnnsim.diagnosis.findings import UNKNOWN, Finding, short

Found = Mapping[str, Finding]

_HYPOTHESIS = "For a retrain, a hypothesis:"
_LONGER = 2.0  # times the window that leaves 1 %: more than is needed


def verdict(found: Found, window: int | None) -> str:
    """The two or three sentences that come first."""
    if found["range"].says != "finite":
        return found["range"].words
    sentences = [found["gradient_rate"].words]
    if not found["gradient_rate"].known and found["lambda_1"].known:
        sentences.append(found["lambda_1"].words)
    for name in ("window_error", "reach_W_hh"):
        if found[name].known:
            sentences.append(found[name].words)
            break
    if found["forward_memory"].known:
        sentences += [_beside_memory(found), *_beyond_window(found, window)]
    elif found["state_memory"].known:
        sentences.append(_beside_state(found))
    return " ".join(sentences)


def _beside_memory(found: Found) -> str:
    """Tells a gradient that vanishes where nothing is from one that misses what is there."""
    memory, rate = found["forward_memory"], found["gradient_rate"]
    vanishes = rate.says in ("vanishes", "dies")
    if memory.says == "nothing carried":
        return (
            "It vanishes where nothing is seen in the state that the loss depends on: whether "
            "there is something to learn further back, these weights on these data do not say."
            if vanishes
            else "Nothing is seen in the state that the loss depends on."
        )
    return memory.words


def _beside_state(found: Found) -> str:
    """The same where the loss has no value: what the state does not hold, no loss depends on."""
    state, vanishes = found["state_memory"], found["gradient_rate"].says in ("vanishes", "dies")
    if state.says == "nothing carried" and vanishes:
        return f"It vanishes where nothing is carried. {state.words}"
    return state.words


def _beyond_window(found: Found, window: int | None) -> list[str]:
    """Whether the loss depends on what no truncated gradient reaches."""
    memory = found["forward_memory"]
    known = 0.0 if math.isnan(memory.error) else memory.error
    if window is None or memory.says != "carries" or memory.number - known <= window:
        return []
    return [
        f"That is further back than a window of {window} goes: the state carries it, and the "
        "truncated gradient does not see it."
    ]


def what_to_try(found: Found, cell: str, window: int | None) -> tuple[str, ...]:
    """What the findings give a reason for."""
    tried = [
        *_of_window(found, window),
        *_of_gradient(found, cell),
        *_of_noise(found, window),
    ]
    return tuple(tried)


def _of_window(found: Found, window: int | None) -> list[str]:
    error, for_10, for_1 = (
        found[name] for name in ("window_error", "window_for_10_percent", "window_for_1_percent")
    )
    if window is None or UNKNOWN in (error.says, for_10.says, for_1.says):
        return []
    if error.says == "too short":
        return [
            f"A window of {short(for_10.number)} steps in place of {window}: with it the gradient "
            "of these weights on these data is off by no more than 10 %."
        ]
    if error.says in ("keeps the gradient", "whole") and window > _LONGER * for_1.number:
        return [
            f"A window of {short(for_1.number)} steps in place of {window}: with it the gradient "
            "of these weights on these data is off by no more than 1 %, in less time."
        ]
    return []


def _of_gradient(found: Found, cell: str) -> list[str]:
    rate, scale = found["gradient_rate"].says, found["time_scale"].says
    if rate == "grows":
        words = "a smaller gain of W_hh, as the gradient grows; until then clipping by norm."
        return [f"{_HYPOTHESIS} {words}"]
    if rate == "dies" and found["idle_units"].says == "mostly idle":
        return [f"{_HYPOTHESIS} other first biases or a lower learning rate, as units are idle."]
    if rate != "vanishes":
        return []
    if cell == "vanilla":
        return [f"{_HYPOTHESIS} an orthogonal W_hh of gain 1 at first, as the gradient vanishes."]
    if scale != "shorter than the data":
        return []
    steps = short(found["time_scale"].number)
    which = "a larger forget bias, or chrono initialisation" if cell == "lstm" else (
        "chrono initialisation"
    )  # fmt: skip
    return [f"{_HYPOTHESIS} {which}, as half of the gates forget within {steps} steps."]


def _of_noise(found: Found, window: int | None) -> list[str]:
    limits, best = found["noise_and_bias"], found["best_window"]
    if limits.says == "noise limits":
        shorter = window is not None and best.known and best.number + best.error < window
        which = "A larger batch, or a shorter window" if shorter else "A larger batch"
        return [f"{which}: noise limits the gradient more than bias."]
    if limits.says == "bias limits" and best.known and not math.isnan(best.number):
        return [
            f"A longer window, up to {short(best.number)} steps: bias limits the gradient more "
            "than noise."
        ]
    return []
