"""The check of cells and stacks beside torch.nn, with plain loops in the place of torch."""

from itertools import pairwise

import numpy as np
import pytest
import reference
import reference_stacks
from reference_training import Segment, gradient

from benchmarks import __main__ as command
from benchmarks.agreement import cells as check_cells
from benchmarks.agreement.cells import CellAgreement, named, of_layer
from benchmarks.peers.workloads import WORKLOADS

pytestmark = pytest.mark.nojit
FINE = CellAgreement("lstm", 2, "dL/dx", 1e-15)


def plain(built):
    """All numbers by the plain loops of the reference, of states and inputs by complex steps."""
    cell = "tanh" if built.cell == "vanilla" else built.cell
    nets = [reference.net_of(layer) for layer in check_cells.stack_of([built]).layers]
    x, targets, K, (L, _, H) = built.inputs, built.targets, built.window, built.h0.shape
    parts = [built.h0, built.c0][: 2 if cell == "lstm" else 1]
    start = np.concatenate([part[k] for k in range(L) for part in parts], axis=1)
    states = reference_stacks.unfold(nets, x, start, cell)

    def loss(x, start):
        every = reference_stacks.unfold(nets, x, start, cell)[1:]
        return sum(map(sum, losses(nets, every, targets))) / len(start)

    of_start = reference.derivative(lambda a: loss(x, a), start)
    found = {"loss": loss(x, start), "dL/dx": reference.derivative(lambda a: loss(a, start), x)}
    found |= of_parts("dL/d{}_0", of_start, L, H) | of_parts("{}_T", states[-1], L, H)
    found |= {of_layer("h", k): s[1:, :, :H] for k, s in enumerate(np.split(states, L, axis=2))}
    found |= lags(nets, x, targets, cell, states)
    cuts = pairwise([*range(0, len(x), K), len(x)])
    for form, pieces in (("dL/d{}", [(0, len(x))]), ("truncated dL/d{}", cuts)):
        each = [of_weights(nets, x[a:b], targets[a:b], states[a], cell) for a, b in pieces]
        for k, layers in enumerate(zip(*each, strict=True)):
            summed = [sum(arrays) for arrays in zip(*layers, strict=True)]
            found |= named(form, summed, k, top=k == L - 1)
    return found


def losses(nets, states, targets):
    """Of each step, those of all sequences."""
    return [
        [
            reference.step_loss(y, c)
            for y, c in zip(reference_stacks.read(nets, s)[2], row, strict=True)
        ]
        for s, row in zip(states, targets, strict=True)
    ]


def of_weights(nets, x, targets, first, cell):
    weights = np.ones(targets.shape)
    return gradient(nets, Segment(x, targets, weights, weights < 0, first, first), cell)


def of_parts(form, whole, L, H):
    """h and c (L, B, .) of a whole state."""
    layers = np.array(np.split(whole, L, axis=1))
    return {
        form.format(n): a for n, a in (("h", layers[..., :H]), ("c", layers[..., H:])) if a.size
    }


def lags(nets, x, targets, cell, states):
    """ln of norms at [t-1, k, b]: every component of every state is moved, of all sequences."""
    (T, B, _), L, S = x.shape, len(nets), states.shape[2]
    fixed, paths = (np.full((T, T, B, S), np.nan) for _ in range(2))
    for s in range(1, T + 1):

        def after(state, s=s):
            every = reference_stacks.unfold(nets, x[s:], state, cell)
            return np.array(losses(nets, every, targets[s - 1 :]))

        def bumped(a, s=s, after=after):
            m, part = a
            return after(reference_stacks.advance(nets, x[s - 1], states[s - 1], cell, (m, part)))

        for j in range(S):
            m, i = divmod(j, S // L)
            step, part = 1e-30j * (np.arange(S) == j), 1e-30j * (np.arange(S // L) == i)
            rows = after(states[s] + step), bumped((m, np.tile(part, (B, 1))))
            for table, row in zip((fixed, paths), rows, strict=True):
                for k, of_step in enumerate(row):
                    table[s - 1 + k, k, :, j] = of_step.imag / 1e-30
    H, of = nets[0].W_hh.shape[1], (T, T, B, L, S // L)
    c = fixed.reshape(of)[..., H:]
    with np.errstate(divide="ignore"):
        found = {"ln |dl/ds|": np.log(np.linalg.norm(fixed, axis=3))}
        if c.size:
            found["ln |dl/dc|"] = np.log(np.linalg.norm(c, axis=(3, 4)))
        for m in range(L):
            own = paths.reshape(of)[..., m, :H]
            found[of_layer("ln |dl/dh|", m)] = np.log(np.linalg.norm(own, axis=3))
    return found


@pytest.fixture(scope="module")
def found():
    return check_cells.compare(plain)


def test_plain_loops_pass(found):
    assert all(case.deviation < check_cells.TOLERANCE for case in found)
    kinds = {(case.cell, case.n_layers) for case in found}
    assert kinds == {(cell, L) for cell in ("vanilla", "lstm", "gru") for L in (1, 2)}
    names = {
        kind: {case.name for case in found if kind == (case.cell, case.n_layers)} for kind in kinds
    }
    for L in (1, 2):
        assert names["lstm", L] - names["gru", L] == {"c_T", "dL/dc_0", "ln |dl/dc|"}
        assert len(names["gru", L]) == 9 + 8 * L


def test_other_numbers_are_noticed(monkeypatch):
    monkeypatch.setattr(check_cells, "BLOCKS", {"gru": 3})

    def wrong(built):
        # gates of the top in another order
        weight_ih, weight_hh, *biases = built.layers[-1]
        rows = np.roll(np.arange(len(weight_ih)), built.h0.shape[2])
        layers = [*built.layers[:-1], [weight_ih[rows], weight_hh[rows], *biases]]
        return plain(built._replace(layers=layers))

    found = check_cells.compare(wrong)
    below = [case for case in found if case.n_layers == 2 and case.name == "h, layer 1"]
    assert max(case.deviation for case in below) < 1e-13
    assert min(case.deviation for case in found if case not in below) > 1e-3


def test_a_norm_of_0_is_told_from_all_others():
    zero, one = np.full((1, 1, 1), -np.inf), np.zeros((1, 1, 1))
    for mine, other, deviation in ((zero, zero, 0.0), (zero, one, np.inf), (one, zero, np.inf)):
        assert check_cells._deviation(mine, other, of_logs=True) == deviation
    assert check_cells._deviation(np.full(1, np.nan), np.zeros(1), of_logs=True) == np.inf


@pytest.mark.parametrize("deviation", [2e-9, float("nan")])
def test_what_stops_the_run(deviation):
    check_cells.check([FINE])
    with pytest.raises(
        ValueError, match=f"cell='lstm', n_layers=2: dL/dx of torch .* by {deviation:.1e}"
    ):
        check_cells.check([FINE, FINE._replace(deviation=deviation)])


def test_the_check_comes_before_anything_but_exponents_is_timed(monkeypatch):
    monkeypatch.setattr(check_cells, "against_torch", lambda: [FINE])
    tiny, spectra = (w for w in WORKLOADS if w.name in ("tiny", "spectra"))
    told = []
    (found,) = command._agreed([tiny], ("rnnsim", "torch"), told.append)
    assert (found.arrays, found.deviation, found.array, found.trainings) == (1, 1e-15, "dL/dx", 0)
    assert command._agreed([tiny], ("rnnsim", "jax"), told.append) == ()
    assert command._agreed([spectra], ("rnnsim", "torch"), told.append) == ()
    assert told == ["checking cells and stacks beside torch.nn"]
