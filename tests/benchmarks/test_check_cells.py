"""The check of LSTMs and GRUs beside torch.nn, with plain loops in the place of torch."""

from itertools import pairwise

import numpy as np
import pytest
import reference

from benchmarks import __main__ as command
from benchmarks.harness import check_cells, report
from benchmarks.harness.check_cells import CellAgreement

pytestmark = pytest.mark.nojit
FINE = CellAgreement("lstm", "dL/dx", 1e-15)
EPS = 1e-30


def plain(gated):
    """All numbers by complex steps through the plain loops of the reference."""
    net = reference.net_of(check_cells.network_of([gated]))
    x, targets, K = gated.inputs, gated.targets, gated.window
    weights = np.ones(targets.shape)
    parts = [gated.h0, gated.c0][: 2 if gated.cell == "lstm" else 1]
    states, _ = reference.unfold(net, x, np.concatenate(parts, axis=1), gated.cell)
    given = net, x, targets, weights, states[0], gated.cell
    found, H = {"h": states[1:, :, : gated.h0.shape[1]]}, gated.h0.shape[1]
    found |= {"loss": reference.loss(*given), "dL/dx": of_inputs(*given)}
    of_weights, start = reference.complex_step(*given)
    found |= named("dL/d{}", of_weights) | {"dL/dh_0": start[:, :H], "dL/dc_0": start[:, H:]}
    cuts = [slice(a, b) for a, b in pairwise([*range(0, len(x), K), len(x)])]
    segments = [
        reference.complex_step(net, x[s], targets[s], weights[s], states[s.start], gated.cell)[0]
        for s in cuts
    ]
    summed = [sum(arrays) for arrays in zip(*segments, strict=True)]
    found |= named("truncated dL/d{}", reference.Net(*summed)) | lags(*given, states)
    return found | {"c_T": states[-1][:, H:]}


def named(form, weights):
    return {form.format(name): array for name, array in weights._asdict().items()}


def of_inputs(net, x, targets, weights, start, cell):
    found = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * EPS
        found[index] = reference.loss(net, moved, targets, weights, start, cell).imag / EPS
    return found


def lags(net, x, targets, weights, start, cell, states):
    """ln of norms at [t-1, k, b]: every component of every state is moved, of all sequences."""
    (T, B, _), H = x.shape, net.W_hh.shape[1]
    rows = np.full((T, T, B, states.shape[2]), np.nan)
    for s in range(1, T + 1):
        for j in range(states.shape[2]):
            moved = states[s].astype(complex)
            moved[:, j] += 1j * EPS
            after = [moved] if s == T else reference.unfold(net, x[s:], moved, cell)[0]
            for k, whole in enumerate(after):
                for b in range(B):
                    y = net.W_hy @ whole[b, :H] + net.b_y
                    loss = reference.step_loss(y, targets[s - 1 + k, b])
                    rows[s - 1 + k, k, b, j] = loss.imag / EPS
    with np.errstate(divide="ignore"):
        norms = [np.log(np.linalg.norm(r, axis=3)) for r in (rows, rows[..., :H], rows[..., H:])]
    return dict(zip(("ln |dl/ds|", "ln |dl/dh|", "ln |dl/dc|"), norms, strict=True))


@pytest.fixture(scope="module")
def found():
    return check_cells.compare(plain)


def test_plain_loops_pass(found):
    assert all(case.deviation < check_cells.TOLERANCE for case in found)
    names = {cell: {case.name for case in found if case.cell == cell} for cell in ("lstm", "gru")}
    assert names["lstm"] - names["gru"] == {"c_T", "dL/dc_0", "ln |dl/dc|"}
    assert len(names["gru"]) == 16


def test_other_numbers_are_noticed():
    def wrong(gated):
        # gates in another order
        rows = np.roll(np.arange(len(gated.bias_ih)), gated.h0.shape[1])
        own = {"weight_ih": gated.weight_ih[rows], "weight_hh": gated.weight_hh[rows]}
        return plain(gated._replace(**own))

    found = check_cells.compare(wrong)
    assert min(case.deviation for case in found) > 1e-3


def test_a_norm_of_0_is_told_from_all_others():
    zero, one = np.full((1, 1, 1), -np.inf), np.zeros((1, 1, 1))
    for mine, other, deviation in ((zero, zero, 0.0), (zero, one, np.inf), (one, zero, np.inf)):
        assert check_cells._deviation(mine, other, of_logs=True) == deviation
    assert check_cells._deviation(np.full(1, np.nan), np.zeros(1), of_logs=True) == np.inf


@pytest.mark.parametrize("deviation", [2e-9, float("nan")])
def test_what_stops_the_run(deviation):
    check_cells.check([FINE])
    with pytest.raises(ValueError, match=f"cell='lstm': dL/dx of torch .* by {deviation:.1e}"):
        check_cells.check([FINE, FINE._replace(deviation=deviation)])


def test_the_check_comes_whatever_is_timed_beside_torch(monkeypatch):
    monkeypatch.setattr(check_cells, "against_torch", lambda: [FINE])
    told = []
    assert command._cells_checked(("rnnsim", "torch"), told.append) == [FINE]
    assert command._cells_checked(("rnnsim", "jax"), told.append) == []
    assert told == ["checking LSTMs and GRUs beside torch.nn"]


def test_the_table():
    lags = [CellAgreement(cell, "ln |dl/ds|", 2e-15) for cell in ("lstm", "gru")]
    text = report.of_cells([FINE, *lags])
    assert "more than 1e-11 stops the run" in text
    assert text.endswith("| dL/dx | 1e-15 |  |\n| ln \\|dl/ds\\| | 2e-15 | 2e-15 |")
