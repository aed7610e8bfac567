"""Gradients as they arrive at the tensors of one call."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnsim.checks import FloatArray
from rnnsim.probing.tensors import copied

Key = tuple[str, int]


class Placed(NamedTuple):
    """Gradients at outputs (T, B, H), at h_n and at c_n (L, B, H); None where none arrived.

    `within` is True where one that is not 0 arrived at c of a step before the last.
    """

    dL_dh: FloatArray | None
    final_h: FloatArray | None
    final_c: FloatArray | None
    within: bool = False


class Arrivals:
    """Gradients of one call by what they are of: ("output", 0), ("h", 7), ("c", 7).

    A tensor that none arrived at has no entry: its gradient is 0. `passes` counts the backward
    passes that have gone through the module: it tells apart those that come by different tensors.
    """

    def __init__(self, is_open: Callable[[], bool], passes: Callable[[], int]) -> None:
        self.arrays: dict[Key, FloatArray] = {}
        self._reached: set[Key] = set()
        self._arrived_in: set[int] = set()
        self._has_graph = self._came_late = self._came_twice = False
        self._is_open, self._passes = is_open, passes

    def wait_at(self, key: Key, tensor: Any) -> None:
        """Keep the gradient of a tensor, if it is to have one."""
        if not tensor.requires_grad:
            return

        def take(gradient: Any) -> None:
            if not self._is_open():
                self._came_late = True
            elif key in self._reached:
                self._came_twice = True
            else:
                self._reached.add(key)
                self._arrived_in.add(self._passes())
                if gradient is not None:  # as of outputs that one operation has beside others
                    self.arrays[key] = copied(gradient)

        self._has_graph = True
        tensor.register_hook(take)

    def trouble(self) -> str:
        """Why these are not the gradients of one backward pass, or nothing."""
        if self._came_twice or len(self._arrived_in) > 1:
            return (
                "gradients arrived twice: backward ran more than once over it, and they would add "
                "up; call backward once inside the `with`, on the sum of your losses"
            )
        if self.arrays:
            return ""
        if self._came_late:
            return "its gradients arrived after the `with` was left; call loss.backward() inside"
        if not self._has_graph:
            return (
                "it ran without a graph (torch.no_grad, torch.inference_mode, or nothing that "
                "requires a gradient), so that no gradient can arrive; probe a training step"
            )
        return (
            "no gradient arrived: call loss.backward() inside the `with`, once, on a loss that "
            "depends on this call"
        )
