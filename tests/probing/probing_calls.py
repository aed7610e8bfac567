"""One sound call of every public function that looks at modules, for tests of misuse."""

import numpy as np
import standin

import rnnsim

MODULE = standin.Module(a=standin.LSTM(2, 3), b=standin.GRU(2, 3))
SEEN = rnnsim.probe(MODULE)
with SEEN:
    MODULE.modules["a"](standin.Tensor(np.ones((4, 2, 2))))[1][0].arrive(np.ones((1, 2, 3)))

_KINDS = {"module": "name or none", "call": "count or none"}

# By name: what it is a method of, kinds of parameters, and the arguments, made anew each time.
PROBING = {
    "probe": (None, {"module": "class"}, lambda: {"module": MODULE}),
    "Probe": (None, {"module": "class"}, lambda: {"module": MODULE}),
    "Probe.record": (SEEN, _KINDS, lambda: {"module": "a", "call": 0}),
    "Probe.flow": (SEEN, _KINDS, lambda: {"module": "a", "call": 0, "state_scale": "std"}),
}
