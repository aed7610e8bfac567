"""Illustrations say what their numbers bear out, and nothing where they do not."""

import numpy as np
import pytest

import rnnsim
from analysis.frame import figures
from analysis.published.illustrations import (
    forget_bias_adding,
    gru_lstm_temporal_order,
    h_only_exponents,
    path_through_c,
)


def caption(module, datasets):
    (figure,) = module.draw(datasets).values()
    return figures.caption_of(figure)


@pytest.fixture(scope="module")
def paths():
    return path_through_c.compute(path_through_c.REDUCED, progress=False)["paths"]


def test_the_carousel_is_1_at_every_lag(paths):
    assert (paths.carousel == 0.0).all()
    row = path_through_c.rows({"paths": paths})[0]
    assert (row.published, row.deviation) == ("1", 0.0)


def test_without_recurrent_weights_both_paths_are_the_product_of_gates():
    settings = path_through_c.REDUCED
    rnn = path_through_c._networks(settings, 1.0)
    still = rnn.weights._replace(
        W_xh=0 * rnn.W_xh, W_hh=0 * rnn.W_hh, b_h=np.broadcast_to(np.ones(24), (2, 24)).copy()
    )
    rng = np.random.default_rng(0)
    pull = np.zeros((60, 3, 6))
    pull[-1] = rng.normal(size=(3, 6))
    batch = rnnsim.Sequences.from_gradients(rng.normal(size=(60, 3, 4)), dL_dh=pull)
    expected = np.arange(20) * np.log(1 / (1 + np.exp(-1.0)))
    for norms in path_through_c._norms(rnn.with_weights(still), batch, settings):
        assert np.allclose(norms, expected, rtol=1e-12)


def test_what_other_paths_carry_is_said_only_where_it_is_much(paths):
    more = paths.copy(deep=True)
    more["all_paths"] = more.path_c + 2 * np.log(10.0)
    assert "carry 2.0 powers of ten more" in caption(path_through_c, {"paths": more})
    same = paths.assign(all_paths=paths.path_c)
    assert "powers of ten more" not in caption(path_through_c, {"paths": same})


@pytest.fixture(scope="module")
def exponents():
    return h_only_exponents.compute(h_only_exponents.REDUCED, progress=False)["exponents"]


def test_the_whole_state_has_the_exponent_of_the_library(exponents):
    settings = h_only_exponents.REDUCED
    rng = np.random.default_rng((settings.data_seed, 1))
    inputs = rng.normal(size=(settings.length, 1, settings.n_inputs))
    rnn = h_only_exponents._networks(settings, settings.forget_bias[0])
    found = rnnsim.lyapunov_spectrum(rnn, inputs, n_exponents=1).exponents[:, 0]
    assert np.allclose(exponents.exponent.isel(forget_bias=0), found, rtol=1e-6)


def test_h_alone_is_blind_to_the_forget_bias_and_the_whole_state_is_not(exponents):
    whole, alone = (
        exponents[name].isel(forget_bias=-1) - exponents[name].isel(forget_bias=0)
        for name in ("exponent", "h_only")
    )
    assert (whole > 0.25).all()
    assert abs(alone.mean()) < 0.1 * whole.mean()  # .47 against -.08 in a draw of 24 units


def test_a_trend_is_said_only_where_there_is_one(exponents):
    flat = exponents.assign(exponent=exponents.exponent * 0 - 1.0)
    assert "hardly moves" not in caption(h_only_exponents, {"exponents": flat})
    steep = exponents.assign(h_only=exponents.h_only * 0 - 2.0)
    steep.exponent[:] = [[-0.5] * 3, [0.0] * 3]
    assert "hardly moves" in caption(h_only_exponents, {"exponents": steep})


@pytest.mark.parametrize(
    ("error", "share", "words"),
    [(1.0, 0.0, "as 0 networks of 4 did"), (0.001, 1.0, "as 4 networks of 4 did")],
)
def test_words_count_lstms_that_learned(error, share, words):
    datasets = forget_bias_adding.compute(forget_bias_adding.REDUCED, progress=False)
    data = datasets["learning"]
    data.error[:] = error
    rows = {row.quantity: row.ours for row in forget_bias_adding.rows(datasets)}
    assert rows["share learned, forget bias 0"] == rows["share learned, forget bias 1"] == share
    assert words in caption(forget_bias_adding, datasets)
    data.log_norms[:] = -5.0
    assert "The larger the bias" not in caption(forget_bias_adding, datasets)
    data.log_norms[0] = -9.0
    assert "more of it is left at lag 11" in caption(forget_bias_adding, datasets)


def test_gated_cells_stand_beside_all_ways_of_training():
    datasets = gru_lstm_temporal_order.compute(gru_lstm_temporal_order.REDUCED, progress=False)
    for data in datasets.values():
        data.solved_at[:] = np.nan
    rows = gru_lstm_temporal_order.rows(datasets)
    assert len(rows) == 2 * (3 + 3)  # lengths, ways of training, kinds
    assert {row.ours for row in rows} == {0.0}
    assert not any(row.published for row in rows)
