"""How much memory states take on a backward pass; those that are not kept are computed twice."""

STATE_MEMORY = 2.0**28  # bytes, unless given

# States of one network that no cache holds are taken in stretches of a few million bytes, which
# stay where they are, unless they are dear to compute again.
_CACHE, _STRETCH, _DEAR = 2**25, 2**21, 64  # bytes, bytes, arithmetic for each byte


def steps_stored(N: int, T: int, per_step: int, memory: float, *, flops: float) -> int:
    """How many of T steps a thread keeps the states of, `per_step` bytes each.

    In `memory` bytes at most. flops: the arithmetic of the forward pass of one step.
    """
    stored = max(1, int(memory / per_step))
    if N == 1 and T * per_step > _CACHE and flops < _DEAR * per_step:
        stored = min(stored, max(1, _STRETCH // per_step))
    return stored
