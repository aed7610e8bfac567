"""Compiled kernels: plain arrays in NamedTuples in, results written into arrays given.

Nothing here validates, raises or allocates inside a time loop; all of it may be called from your
own ``@njit`` code. Arrays must be C-contiguous, writable and of one dtype, float32 or float64;
`check` refuses, from Python, what a kernel would misread.
Sizes: N networks, T steps, B sequences, D inputs, H hidden units, V outputs.
"""

from rnnsim.kernels.cells.gru import GRU
from rnnsim.kernels.cells.layout import (
    CROSS_ENTROPY,
    INNER_PRODUCT,
    LINEAR,
    RELU,
    SIGMOID,
    SQUARED_ERROR,
    TANH,
    Batch,
    Weights,
)
from rnnsim.kernels.cells.lstm import LSTM
from rnnsim.kernels.checking import check
from rnnsim.kernels.dynamics.lyapunov import (
    LyapunovArrays,
    LyapunovWork,
    lyapunov_arrays,
    lyapunov_sums,
    lyapunov_work,
)
from rnnsim.kernels.flow.arrays import (
    FlowArrays,
    FlowWork,
    flow_arrays,
    flow_work,
    lags_at_once,
    window_work,
)
from rnnsim.kernels.flow.flow import gradient_flow
from rnnsim.kernels.gradients.backward import bptt
from rnnsim.kernels.gradients.backward_arrays import (
    BackwardWork,
    GradientArrays,
    StepNorms,
    backward_work,
    bytes_per_step,
    gradient_arrays,
)
from rnnsim.kernels.gradients.losses import inner_product, softmax_cross_entropy, squared_error
from rnnsim.kernels.gradients.truncated import TruncatedWork, truncated_bptt, truncated_work
from rnnsim.kernels.gradients.unfolding import (
    ForwardWork,
    block_steps,
    evaluate,
    forward,
    forward_work,
)
from rnnsim.kernels.stacks.dynamics import (
    stack_lyapunov_arrays,
    stack_lyapunov_sums,
    stack_lyapunov_work,
)
from rnnsim.kernels.stacks.flow import (
    StackFlowArrays,
    StackFlowWork,
    stack_flow_arrays,
    stack_flow_work,
    stack_gradient_flow,
)
from rnnsim.kernels.stacks.gradients import (
    stack_backward_work,
    stack_bptt,
    stack_gradient_arrays,
)
from rnnsim.kernels.stacks.layers import layered
from rnnsim.kernels.stacks.truncated import stack_truncated_bptt, stack_truncated_work

__all__ = [
    "CROSS_ENTROPY",
    "GRU",
    "INNER_PRODUCT",
    "LINEAR",
    "LSTM",
    "RELU",
    "SIGMOID",
    "SQUARED_ERROR",
    "TANH",
    "BackwardWork",
    "Batch",
    "FlowArrays",
    "FlowWork",
    "ForwardWork",
    "GradientArrays",
    "LyapunovArrays",
    "LyapunovWork",
    "StackFlowArrays",
    "StackFlowWork",
    "StepNorms",
    "TruncatedWork",
    "Weights",
    "backward_work",
    "block_steps",
    "bptt",
    "bytes_per_step",
    "check",
    "evaluate",
    "flow_arrays",
    "flow_work",
    "forward",
    "forward_work",
    "gradient_arrays",
    "gradient_flow",
    "inner_product",
    "lags_at_once",
    "layered",
    "lyapunov_arrays",
    "lyapunov_sums",
    "lyapunov_work",
    "softmax_cross_entropy",
    "squared_error",
    "stack_backward_work",
    "stack_bptt",
    "stack_flow_arrays",
    "stack_flow_work",
    "stack_gradient_arrays",
    "stack_gradient_flow",
    "stack_lyapunov_arrays",
    "stack_lyapunov_sums",
    "stack_lyapunov_work",
    "stack_truncated_bptt",
    "stack_truncated_work",
    "truncated_bptt",
    "truncated_work",
    "window_work",
]
