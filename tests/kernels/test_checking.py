"""What people who call kernels themselves are told: every array, wrong in every way."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from builders import case
from gated import gated

import rnnsim
from rnnsim import kernels
from rnnsim.kernels.cells.layout import Batch, Weights
from rnnsim.networks.binding import batch_for, weights_for
from rnnsim.networks.rnn import originals
from rnnsim.networks.states import cell_of

pytestmark = pytest.mark.nojit


def problem(N=2, *, classes=True, own=False, dtype="float64"):
    made = case(N=N, T=5, B=2, D=3, H=4, V=3, classes=classes, own=own, silent=0.0, dtype=dtype)
    return originals(made.rnn), batch_for(made.rnn, made.sequences, made.h0)


def all_arrays(weights, batch, cell=kernels.TANH):
    """Results and scratch of every kind."""
    (T, B, D), H = batch.inputs.shape[1:], weights.W_hh.shape[2]
    yield kernels.forward_work(weights, T, B, kernels.block_steps(T, B, H, 8), cell)
    yield from (kernels.backward_work(weights, batch, stored, cell) for stored in (1, 2, T))
    yield from (kernels.truncated_work(weights, batch, stride, cell) for stride in range(1, T + 2))
    yield from (kernels.flow_work(weights, batch, S, C, cell) for S in (1, T) for C in (1, 3))
    yield from (kernels.lyapunov_work(H, D, k, weights.W_hh, cell) for k in (1, 4))
    yield kernels.gradient_arrays(weights, batch)
    yield from (kernels.flow_arrays(weights, batch, 2, 3, kept) for kept in (False, True))
    yield kernels.lyapunov_arrays(len(weights.W_hh), B, 6, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("classes", [False, True])
def test_what_fits_passes(classes, own, dtype):
    weights, batch = problem(classes=classes, own=own, dtype=dtype)
    kernels.check(weights, batch)
    kernels.check(weights, batch, *all_arrays(weights, batch))


GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])


def gated_problem(cell, **options):
    """Weights and a batch of an LSTM or a GRU, and what kernels call the cell."""
    made = gated(cell, N=2, T=5, silent=0.0, **options)
    batch = batch_for(made.rnn, made.sequences, **made.start)
    return originals(made.rnn), batch, cell_of(made.rnn)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("own", [False, True])
@GATED
def test_what_fits_a_gated_cell_passes(cell, own, dtype):
    weights, batch, code = gated_problem(cell, own=own, dtype=dtype)
    kernels.check(weights, batch, *all_arrays(weights, batch, code), cell=code)


@GATED
def test_losses_of_the_state_pass(cell):
    made = gated(cell, N=2)
    x = made.sequences.inputs
    end = {"dL_dc_final": np.ones((x.shape[1], 3))} if cell == "lstm" else {}
    s = rnnsim.Sequences.from_gradients(x, dL_dh=np.ones((*x.shape[:2], 3)), **end)
    batch = batch_for(made.rnn, s, **made.start)
    (weights,), code = weights_for(made.rnn, batch), cell_of(made.rnn)
    assert weights.b_y.shape[1] < weights.W_hy.shape[1]
    kernels.check(weights, batch, *all_arrays(weights, batch, code), cell=code)
    scored = batch_for(made.rnn, made.sequences, **made.start)
    with pytest.raises(ValueError, match=r"`weights.b_y` must be \(N, V\) with V = 6 as .*, got"):
        kernels.check(weights, scored, cell=code)


@GATED
def test_weights_and_states_of_another_cell_are_refused(cell):
    weights, batch, code = gated_problem(cell)
    gates, other = {"lstm": (4, kernels.GRU), "gru": (3, kernels.LSTM)}[cell]
    rows = rf"`weights.W_hh` must be \(N, A, H\) with A = {{}}\*H gate rows, got .* {3 * gates}, 3"
    for wrong, expected in ((kernels.TANH, 1), (other, 7 - gates)):
        with pytest.raises(ValueError, match=rows.format(expected) + r"\); of another cell give"):
            kernels.check(weights, batch, cell=wrong)
    for field, array, message in (
        ("b_h", weights.b_h[:, :9], r"`weights.b_h` must be \(N, E\), .*E = 12, .*got .* 9\)"),
        ("W_xh", weights.W_xh[:, :6], rf"`weights.W_xh` must .* A = {3 * gates}, .*got .* 6, 2\)"),
    ):
        short = weights._replace(**{field: np.ascontiguousarray(array)})
        with pytest.raises(ValueError, match=message):
            kernels.check(short, batch, cell=code)
    S = batch.h0.shape[2]
    for wrong in (S - 1, S + 3):
        with pytest.raises(ValueError, match=rf"`batch.h0` must be .* S = {S}, .*got .* {wrong}\)"):
            kernels.check(weights, batch._replace(h0=np.zeros((1, 2, wrong))), cell=code)
    work, memories = kernels.backward_work(weights, batch, 4, code), S - 3
    if memories > 0:
        end = work._replace(final=np.ones((1, 2, memories)))
        kernels.check(weights, batch, end, cell=code)
    of_end = work._replace(final=np.ones((1, 2, memories + 1)))
    with pytest.raises(ValueError, match=r"`BackwardWork.final` must be of shape .* got"):
        kernels.check(weights, batch, of_end, cell=code)
    narrow = work._replace(final=np.ones((1, 2, 3), np.float32))
    with pytest.raises((TypeError, ValueError), match=r"`BackwardWork.final` must"):
        kernels.check(weights, batch, narrow, cell=code)


@GATED
def test_scratch_of_another_cell_is_refused(cell):
    weights, batch, code = gated_problem(cell)
    other = {"lstm": kernels.GRU, "gru": kernels.LSTM}[cell]
    for made in (*all_arrays(weights, batch), *all_arrays(weights, batch, other)):
        if "Arrays" not in type(made).__name__:  # results are the same for all cells
            with pytest.raises(ValueError, match=r"must be of shape .* for these weights and this"):
                kernels.check(weights, batch, made, cell=code)


@pytest.mark.parametrize("cell", ["lstm", None, True, 4, -1, 0.5, np.ones(2), kernels.LSTM[:0]])
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(TypeError, match=r"`cell` must be kernels.TANH, .*got|knows the cells .*"):
        kernels.check(*problem(), cell=cell)


def test_silent_steps_may_hold_anything():
    weights, batch = problem()
    batch.loss_weights[0, 1] = 0
    batch.classes[0, 1] = -9
    kernels.check(weights, batch)
    weights, batch = problem(classes=False)
    batch.loss_weights[0, 1] = 0
    batch.values[0, 1] = np.nan
    kernels.check(weights, batch)


def test_a_recurrent_matrix_that_is_too_narrow_is_refused():
    weights, batch = problem()
    narrow = weights._replace(W_hh=np.ascontiguousarray(weights.W_hh[:, :, :2]))
    with pytest.raises(ValueError, match=r"`weights.W_hh` must be \(N, A, H\) with A = 1\*H gate"):
        kernels.check(narrow, batch)


WRONG = {
    "a list": (list, TypeError, "must be a NumPy array, got list"),
    "a masked array": (np.ma.asarray, TypeError, "must be a NumPy array, got MaskedArray"),
    "another dtype": (lambda a: a.astype(np.float16), TypeError, "must .*got float16"),
    "not contiguous": (
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2], TypeError, "must be C-contiguous"),
    "an axis too many": (lambda a: a[None], ValueError, "must .*got shape"),
    "an axis too long": (
        lambda a: np.concatenate([a, a[..., :1]], axis=-1), ValueError, "must be .*got shape"),
    "three networks": (
        lambda a: np.concatenate([a[:1]] * 3), ValueError, "must be .*got shape"),
    "NaN": (lambda a: np.full_like(a, np.nan), ValueError, "must be finite, got nan"),
}  # fmt: skip


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


@pytest.mark.parametrize("wrong", [*WRONG, "read-only"])
@pytest.mark.parametrize("field", [*Weights._fields, "inputs", "values", "loss_weights", "h0"])
def test_every_array_wrong_in_every_way(field, wrong):
    weights, batch = problem(classes=False)
    change, error, message = WRONG.get(wrong, (read_only, TypeError, "must be C-contiguous"))
    group = "weights" if field in Weights._fields else "batch"
    if field == "W_hh" and wrong in ("an axis too long", "three networks"):
        message, field = "must be", "W_hh|W_xh"  # W_hh says what N and H are
    if field == "W_xh" and wrong == "an axis too long":
        group, field = "batch", "W_xh|inputs"  # and W_xh what D is
    name = field.split("|")[0]
    if name in Weights._fields:
        weights = weights._replace(**{name: change(getattr(weights, name))})
    else:
        batch = batch._replace(**{name: change(getattr(batch, name))})
    with pytest.raises(error, match=rf"`{group}.({field})` {message}"):
        kernels.check(weights, batch)


@pytest.mark.parametrize("bad", [-1, 3])
def test_classes_out_of_range_are_refused(bad):
    weights, batch = problem()
    batch.classes[0, 2, 1] = bad
    message = rf"`batch.classes` must be 0..2 .*, got {bad} at network, step, sequence \[0, 2, 1\]"
    with pytest.raises(ValueError, match=message):
        kernels.check(weights, batch)


def test_other_things_that_are_refused():
    weights, batch = problem()
    for wrong, error, message in (
        ((3, batch), TypeError, "`weights` must be a kernels.Weights, got int"),
        ((tuple(weights), batch), TypeError, r"`weights\[0\]` must be a kernels.Weights, got nd"),
        ((weights, tuple(batch)), TypeError, "`batch` must be a kernels.Batch, got tuple"),
        ((weights, batch._replace(loss=3)), ValueError, "`batch.loss` must be one of"),
        ((weights, batch._replace(loss="x")), ValueError, "`batch.loss` must be one of"),
        ((weights, batch._replace(classes=batch.classes.astype(np.int32))), TypeError,
         "`batch.classes` must hold int64, got int32"),
        ((weights, batch._replace(values=np.empty(0))), ValueError,
         "`batch.values`, which this loss does not read, must have 4 axes"),
        ((weights, batch._replace(loss_weights=-batch.loss_weights)), ValueError,
         "`batch.loss_weights` must be at least 0"),
        ((weights._replace(W_hh=None), batch), TypeError, "`weights.W_hh` must be a NumPy array"),
        ((weights, batch, 3), TypeError, "`arrays` must be results or scratch .*, got int"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            kernels.check(*wrong)


def leaves(value, path=()):
    """The paths of all arrays in nested NamedTuples."""
    if isinstance(value, np.ndarray):
        if value.size:
            yield path
    elif isinstance(value, tuple):
        for field in value._fields:
            yield from leaves(getattr(value, field), (*path, field))


def replaced(value, path, change):
    if not path:
        return change(value)
    inner = replaced(getattr(value, path[0]), path[1:], change)
    return value._replace(**{path[0]: inner})


@pytest.mark.parametrize("change", [lambda a: np.concatenate([a, a]), lambda a: a[None], list])
def test_every_array_of_results_and_scratch_is_looked_at(change):
    weights, batch = problem()
    for made in all_arrays(weights, batch):
        for path in leaves(made):
            wrong = replaced(made, path, change)
            with pytest.raises((TypeError, ValueError), match=f"`{type(made).__name__}"):
                kernels.check(weights, batch, wrong)


def test_scratch_for_another_batch_is_refused():
    weights, batch = problem()
    longer = Batch(*(np.concatenate([a, a], axis=1) for a in batch[:4]), batch.h0, batch.loss)
    for made in all_arrays(weights, longer):
        if type(made).__name__ in ("BackwardWork", "TruncatedWork", "GradientArrays"):
            with pytest.raises(ValueError, match="for these weights and this batch, got"):
                kernels.check(weights, batch, made)


def test_the_table_of_kernels_is_complete_and_names_their_arguments():
    text = (Path(__file__).parents[2] / "docs/api/kernels.md").read_text(encoding="utf-8")
    said = set(re.findall(r"`(?:[a-z_]+: )?\.?(\w+)", text))
    assert set(kernels.__all__) <= said
    computing = text.split("## What computes")[1].split("## What allocates")[0]
    for row in re.findall(r"^\| (`.*)\|$", computing, re.MULTILINE):
        names, arguments, _ = (cell.strip() for cell in row.split(" | "))
        plain = re.sub(r": `\w+`|\([^()]*\)|\b(int64|float64)\b", "", arguments)
        listed = [argument.strip() for argument in plain.split(",") if argument.strip()]
        for name in re.findall(r"\w+", names):
            kernel = getattr(kernels, name)
            assert list(inspect.signature(getattr(kernel, "py_func", kernel)).parameters) == listed
    allocating = text.split("## What allocates")[1]
    for call, name in re.findall(r"`((\w+)\([^`]*\))`", allocating):
        allocator = getattr(kernels, name)
        given = inspect.signature(getattr(allocator, "py_func", allocator))
        assert call == f"{name}{given}"
