"""What a backward pass writes down of every step, where it is asked to (`EachStep`)."""

from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.gradients.steps import gather_memories


@kernel
def write_state(gradient, dc, first, H, state):
    """state (B, S) = the gradients with respect to h and memories, for some of the sequences."""
    for b in range(gradient.shape[0]):
        for i in range(H):
            state[first + b, i] = gradient[b, i]
        gather_memories(dc[first + b], H, state, first + b)


@kernel
def write_errors(errors, count, row, first, rows, A, written):
    """written (count, B, A+V) = [delta_t, dL/dy_t], from the errors from `row` on."""
    for s in range(count):
        for b in range(first, first + rows):
            for i in range(A):
                written[s, b, i] = errors[row + s, b, i]
            for i in range(A, written.shape[2]):
                written[s, b, i] = errors[row + s + 1, b, i]
