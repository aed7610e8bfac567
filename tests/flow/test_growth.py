"""Rates of growth: known ones, what stands behind every lag, and errors that cover."""

import dataclasses
import functools

import numpy as np
import pytest
from builders import NOJIT, case
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from rnnsim import RNN, Sequences, gradient_flow, growth_rate, tasks
from rnnsim.flow.growth import log_changes

nojit = pytest.mark.nojit
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")


def flow_of(logs, steps=None):
    """A GradientFlow with these log norms of sequences (N, S, K, B), else made up."""
    made = case()
    flow = gradient_flow(made.rnn, made.sequences)
    logs = np.asarray(logs, float)
    alive = ~np.isneginf(logs)
    count = alive.sum(axis=3)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(alive, logs, 0.0).sum(axis=3) / count
    return dataclasses.replace(
        flow,
        steps=np.arange(1, logs.shape[1] + 1) if steps is None else np.asarray(steps),
        log_norms=np.where(count, mean, -np.inf),
        live=np.where(np.isnan(logs[..., 0]), np.nan, alive.mean(axis=3)),
        per_sequence=logs,
    )


@functools.cache
def orthogonal_flow(gain, T=40, last=False, N=3):
    rnn = RNN.sample(N, n_inputs=1, n_hidden=5, n_outputs=2, scheme="orthogonal", gain=gain,
                     activation="linear", rng=0)  # fmt: skip
    s = Sequences(np.zeros((T, 2, 1)), np.ones((T, 2, 2)))
    return gradient_flow(rnn, s.last_loss_only() if last else s)


@pytest.mark.parametrize("gain", [0.1, 0.9, 1.2, 5.0])
@pytest.mark.parametrize("last", [True, False])
def test_the_rate_of_orthogonal_linear_networks_is_the_log_of_their_gain(last, gain):
    for lags in (None, (0, 2), (5, 30)):
        rate = growth_rate(orthogonal_flow(gain, last=last), lags)
        assert_allclose(rate.rate, [np.log(gain)] * 3, rtol=1e-12)
        assert (rate.standard_error < 1e-12).all()
        assert_allclose(rate.half_life, [np.log(2) / abs(np.log(gain))] * 3, rtol=1e-12)


def test_the_default_range_ends_where_half_of_the_loss_steps_end():
    many, one = growth_rate(orthogonal_flow(0.9)), growth_rate(orthogonal_flow(0.9, last=True))
    # Steps 1..40: their median 20.5 gives lag 19, which steps 20..40 reach.
    assert (many.first_lag, many.last_lag, many.n_steps_used) == (1, 19, 21)
    assert (one.first_lag, one.last_lag, one.n_steps_used) == (3, 39, 1)
    given_range = growth_rate(orthogonal_flow(0.9), (4, 38))
    assert (given_range.first_lag, given_range.last_lag, given_range.n_steps_used) == (4, 38, 2)
    three = growth_rate(orthogonal_flow(0.9, T=3))
    assert (three.first_lag, three.last_lag, three.n_steps_used) == (0, 2, 1)


def test_only_steps_that_reach_the_last_lag_enter():
    curves = np.full((1, 6, 6, 1), np.nan)
    for i in range(6):
        curves[0, i, : i + 1, 0] = 100.0 * (i < 5) - 0.5 * np.arange(i + 1)
    rate = growth_rate(flow_of(curves), (0, 5))
    assert_allclose(rate.rate, [-0.5])
    assert rate.n_steps_used == 1


def noisy(slopes, *, S=3, K=40, B=7, seed=0):
    """Log norms (N, S, K, B) around lines of these slopes, one for each network."""
    rng = np.random.default_rng(seed)
    lines = np.asarray(slopes)[:, None, None, None] * np.arange(K)[:, None]
    return lines + rng.normal(size=(len(slopes), S, K, B)).cumsum(axis=2)


def test_the_fit_is_least_squares_and_its_error_is_that_of_a_mean_over_sequences():
    logs = noisy([-0.3, 0.1])
    rate = growth_rate(flow_of(logs, steps=[50, 60, 70]), (4, 30))
    x = np.arange(4, 31)
    for n in range(2):
        slopes = [np.polyfit(x, logs[n, :, 4:31, b].mean(axis=0), 1)[0] for b in range(7)]
        assert_allclose(rate.rate[n], np.mean(slopes), rtol=1e-10)
        low, high = stats.t.interval(0.95, 6, np.mean(slopes), stats.sem(slopes))
        assert_allclose(2 * rate.standard_error[n], (high - low) / 2, rtol=1e-8)
        for half, part in enumerate((slice(4, 18), slice(17, 31))):
            lags = np.arange(40)[part]
            mean = logs[n, :, part].mean(axis=(0, 2))
            assert_allclose(rate.halves[n, half], np.polyfit(lags, mean, 1)[0], rtol=1e-9)
    assert_array_equal(rate.live, 1.0)


def test_a_rate_that_may_be_zero_or_is_not_known_has_no_half_life():
    logs = np.concatenate([noisy([0.0], K=200), noisy([-0.5], K=200), np.zeros((1, 3, 200, 7))])
    rate = growth_rate(flow_of(logs, steps=[300, 301, 302]), (0, 199))
    assert np.isnan(rate.half_life[[0, 2]]).all()
    assert_allclose(rate.half_life[1], np.log(2) / abs(rate.rate[1]))
    assert abs(rate.rate[1] + 0.5) < 2 * rate.standard_error[1]
    alone = growth_rate(flow_of(logs[..., :1], steps=[300, 301, 302]), (0, 199))
    assert np.isnan(alone.standard_error).all()
    assert np.isnan(alone.half_life).all()


def test_orthogonal_networks_of_gain_one_have_no_half_life():
    rate = growth_rate(orthogonal_flow(1.0, N=5 if NOJIT else 20))
    assert np.abs(rate.rate).max() < 1e-14
    assert np.isnan(rate.half_life).all()


def relu_unit(T, dies, last_loss_only):
    """One relu unit of weight 0.9; `dies` has the steps at which each sequence is silent."""
    rnn = RNN(np.ones((1, 1)), [[0.9]], np.ones((1, 1)), activation="relu")
    inputs = np.ones((T, len(dies), 1))
    for b, step in enumerate(dies):
        if step is not None:
            inputs[step - 1, b] = -100.0
    data = Sequences(inputs, np.full((T, len(dies), 1), 99.0))
    return gradient_flow(rnn, data.last_loss_only() if last_loss_only else data)


@nojit
def test_a_sequence_that_dies_is_not_in_the_rate():
    flow = relu_unit(30, [None, 11], last_loss_only=True)  # dies between lags 19 and 20
    rate = growth_rate(flow)
    assert flow.live[0, 0, 19] == 1.0
    assert_allclose(rate.rate, [np.log(0.9)], rtol=1e-12)  # -0.1054
    assert_allclose(rate.halves, [[np.log(0.9)] * 2], rtol=1e-10)
    assert_array_equal(rate.live, [0.5])
    assert np.isnan(rate.standard_error[0])  # of one sequence
    assert_array_equal(growth_rate(flow, (0, 19)).live, [1.0])
    assert growth_rate(flow, (0, 19)).standard_error[0] < 1e-12


@nojit
def test_steps_whose_gradient_dies_are_not_in_the_rate():
    flow = relu_unit(30, [None, 11, 20], last_loss_only=False)
    rate = growth_rate(flow)  # lags 1..14, of steps 15..30: those beyond 24 and 33 live
    assert (rate.first_lag, rate.last_lag) == (1, 14)
    assert_allclose(rate.rate, [np.log(0.9)], rtol=1e-12)
    assert_allclose(rate.live, [(16 + 5 + 6) / 48])  # steps 26..30; 15..19 and 34.. for the third
    assert_allclose(rate.standard_error, 0.0, atol=1e-12)


@nojit
def test_nothing_alive_has_no_rate_and_harms_no_neighbour():
    logs = noisy([-0.1, -0.1], B=2)
    logs[0, :, 20:] = -np.inf
    rate = growth_rate(flow_of(logs, steps=[50, 51, 52]))
    assert_array_equal(np.isnan(rate.rate), [True, False])
    assert_array_equal(np.isnan(rate.standard_error), [True, False])
    assert np.isnan(rate.half_life[0])
    assert_array_equal(rate.live, [0.0, 1.0])
    assert np.isnan(growth_rate(relu_unit(30, [11, 12], last_loss_only=True)).rate[0])


def test_a_norm_that_is_not_finite_has_no_rate():
    logs = noisy([-0.1, -0.1], B=2)
    logs[0, 1, 25:, 0] = np.nan
    rate = growth_rate(flow_of(logs, steps=[50, 51, 52]))
    assert_array_equal(np.isnan(rate.rate), [True, False])


@nojit
def test_without_norms_of_sequences_rates_are_the_same_and_errors_unknown():
    made = case(T=12, N=2, B=4)
    kept = gradient_flow(made.rnn, made.sequences)
    less = gradient_flow(made.rnn, made.sequences, per_sequence=False)
    assert less.per_sequence is None
    assert np.isfinite(growth_rate(kept).standard_error).all()
    assert np.isnan(growth_rate(less).standard_error).all()
    full = relu_unit(30, [None, None], last_loss_only=True)
    assert_array_equal(
        growth_rate(dataclasses.replace(full, per_sequence=None)).rate, growth_rate(full).rate
    )
    dying = relu_unit(30, [None, 11], last_loss_only=True)
    assert np.isnan(growth_rate(dataclasses.replace(dying, per_sequence=None)).rate[0])


@nojit
def test_norms_of_sequences_are_kept_up_to_half_a_gigabyte(monkeypatch):
    made = case(T=10, N=2, B=3)
    S = made.sequences.loss_steps.size
    for limit, kept in ((2 * S * 10 * 3, True), (2 * S * 10 * 3 - 1, False)):
        monkeypatch.setattr("rnnsim.flow.gradient_flow._KEPT", limit)
        assert (gradient_flow(made.rnn, made.sequences).per_sequence is not None) is kept
    asked = gradient_flow(made.rnn, made.sequences, per_sequence=True)
    assert asked.per_sequence.shape == (2, S, 10, 3)


def test_rates_that_change_over_the_range_are_not_single():
    x = np.arange(40.0)
    bent = np.where(x < 20, -0.5 * x, -10 - 0.1 * (x - 20))  # halves of -0.5 and -0.1
    turned = np.where(x < 20, -0.5 * x, -10 + 0.4 * (x - 20))
    noise = 0.05 * noisy([0.0, 0.0, 0.0])
    logs = noise + np.stack([bent, turned, -0.3 * x])[:, None, :, None]
    rate = growth_rate(flow_of(logs, steps=[50, 51, 52]), (0, 39))
    assert_array_equal(rate.single, [False, False, True])
    assert_allclose(rate.halves, [[-0.5, -0.1], [-0.5, 0.4], [-0.3, -0.3]], atol=0.05)
    assert_allclose(rate.half_life[[0, 2]], np.log(2) / -rate.rate[[0, 2]])
    assert abs(rate.rate[1]) > 2 * rate.standard_error[1]
    assert np.isnan(rate.half_life[1])  # decays, then grows


def stream(T, rng):
    """The product of T positive numbers backwards from each step: ln norms (1, T, K, 1)."""
    K, logs = 12, rng.normal(size=T)
    norms = np.full((1, T, K, 1), np.nan)
    for i in range(T):
        back = logs[: i + 1][::-1][: K - 1]
        norms[0, i, : min(i + 1, K), 0] = [0.0, *np.cumsum(back)][: min(i + 1, K)]
    return norms


def test_a_stream_has_an_error_from_ten_blocks_no_shorter_than_the_last_lag():
    logs = stream(130, np.random.default_rng(0))
    assert np.isnan(growth_rate(flow_of(logs[:, :119]), (0, 11)).standard_error[0])  # 107 steps
    rate = growth_rate(flow_of(logs[:, :121]), (0, 11))  # 110 steps: blocks of 11
    x = np.arange(12)
    slopes = [np.polyfit(x, logs[0, i, :, 0], 1)[0] for i in range(11, 121)]
    blocks = np.reshape(slopes, (10, 11)).mean(axis=1)
    low, high = stats.t.interval(0.95, 9, blocks.mean(), stats.sem(blocks))
    assert_allclose(2 * rate.standard_error[0], (high - low) / 2, rtol=1e-8)
    assert_allclose(rate.rate[0], np.mean(slopes), rtol=1e-8)
    gap = np.r_[12:60, 90:131]  # steps with loss; a block of 11 has none
    assert np.isnan(growth_rate(flow_of(logs[:, gap - 1], steps=gap), (0, 11)).standard_error[0])


def test_two_errors_of_a_stream_cover():
    rng, covered = np.random.default_rng(1), []
    for T in [122] * 40 + [300] * 40:  # blocks of 11 and of 28 steps
        rate = growth_rate(flow_of(stream(T, rng)), (0, 11))
        covered.append(abs(rate.rate[0]) < 2 * rate.standard_error[0])
    assert 0.85 < np.mean(covered) < 0.99  # of 80: 0.9 +- 3 deviations of 0.03, below


SETTINGS = [  # task, units, gain, activation, steps, sequences; draws in the suite
    ("characters", 16, 1.5, "tanh", 60, 16, 40),
    ("characters", 16, 1.0, "tanh", 60, 4, 40),
    ("white noise", 16, 2.0, "tanh", 60, 8, 40),
    ("adding", 16, 1.2, "tanh", 60, 6, 40),
    ("characters", 48, 1.4, "relu", 60, 12, 40),
]
LARGE = [
    ("characters", 64, 1.5, "tanh", 200, 16, 60),
    ("characters", 32, 1.0, "tanh", 100, 4, 60),
    ("white noise", 32, 2.0, "tanh", 120, 8, 60),
    ("adding", 32, 1.2, "tanh", 100, 6, 60),
    ("characters", 48, 1.4, "relu", 100, 12, 60),
]


def draw(task, T, B, seed):
    if task != "white noise":
        return tasks.TASKS[task](T, B, rng=seed)
    rng = np.random.default_rng(seed)
    return Sequences(rng.normal(size=(T, B, 4)), rng.integers(0, 3, (T, B)))


@compiled
@pytest.mark.parametrize(
    "settings", [SETTINGS, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_two_standard_errors_cover_the_rate_of_a_network(settings):
    """Over draws of its data: 90 to 99 in a hundred, pooled over five networks."""
    covered, ratios = [], []
    for task, H, gain, activation, T, B, n_draws in settings:
        D, V = (4, 3) if task == "white noise" else tasks.sizes(task)
        rnn = RNN.sample(
            n_inputs=D, n_hidden=H, n_outputs=V, gain=gain, activation=activation, rng=1
        )
        found = [growth_rate(gradient_flow(rnn, draw(task, T, B, d))) for d in range(n_draws)]
        rates, errors = (
            np.array([getattr(x, name)[0] for x in found]) for name in ("rate", "standard_error")
        )
        covered += list(np.abs(rates - rates.mean()) < 2 * errors)
        widened = stats.t.ppf(0.975, B - 1) / 2
        ratios.append(np.sqrt(np.mean(errors**2)) / widened / rates.std(ddof=1))
    assert 0.9 <= np.mean(covered) <= 0.99
    assert min(ratios) > 0.7  # a deviation of 40 draws errs by 11 %
    assert max(ratios) < 1.4


@nojit
def test_changes_compare_each_sequence_with_itself():
    logs = noisy([-0.1, -0.1, 0.2], B=3)
    logs[0, -1, 20:, 1] = -np.inf
    logs[1, -1, 20:] = -np.inf
    logs[0, -1, :20, 1] += 50.0  # much larger than the others, until it dies
    changes = log_changes(flow_of(logs, steps=[50, 51, 52]), [0, 19, 30])[:, -1]
    own = logs[:, -1] - logs[:, -1, :1]
    assert_allclose(changes[0], [0.0, own[0, 19].mean(), own[0, 30, [0, 2]].mean()], atol=1e-12)
    assert_array_equal(changes[1, 2], -np.inf)
    assert_allclose(changes[2], own[2, [0, 19, 30]].mean(axis=1), atol=1e-12)


@pytest.mark.parametrize(
    ("lags", "error", "message"),
    [
        (
            (0, 1),
            ValueError,
            r"`lags` must be a range of at least 3 lags within 0\.\.39.* got \(0, 1\)",
        ),
        ((5, 2), ValueError, r"`lags` must be a range .* got \(5, 2\)"),
        ((0, 40), ValueError, r"`lags` must be a range .* within 0\.\.39.* got \(0, 40\)"),
        ((-1, 5), ValueError, r"`lags\[0\]` must be at least 0, got -1"),
        ((0, 5.0), TypeError, r"`lags\[1\]` must be an integer of at least 0, got 5\.0"),
        (5, TypeError, r"`lags` must be a pair \(first, last\), got 5"),
        ((1, 2, 3), TypeError, r"`lags` must be a pair \(first, last\), got \(1, 2, 3\)"),
    ],
)
def test_ranges_that_make_no_sense(lags, error, message):
    with pytest.raises(error, match=message):
        growth_rate(orthogonal_flow(0.9), lags)


def test_fewer_than_three_lags_have_no_rate():
    with pytest.raises(
        ValueError,
        match=r"`lags` must be a range of at least 3 lags within 0\.\.1, .* longer sequences",
    ):
        growth_rate(orthogonal_flow(0.9, T=2))
