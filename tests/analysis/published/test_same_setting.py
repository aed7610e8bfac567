"""Trainings beside their papers: data are what is described, words follow the numbers."""

import json
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

import rnnsim
from analysis.frame import figures
from analysis.published.same_setting import aicher_copy, irnn_adding, pascanu_temporal_order


@cache
def temporal_order():
    return pascanu_temporal_order.compute(pascanu_temporal_order.REDUCED, progress=False)


def temporal(solved_at):
    data = temporal_order()["learning"].copy(deep=True)
    data.solved_at[:] = solved_at
    return {"learning": data}


def captions(module, datasets):
    return " ".join(figures.caption_of(each) for each in module.draw(datasets).values())


@pytest.mark.parametrize(
    ("solved_at", "share", "words"),
    [(np.nan, 0.0, "of all 12 trainings none solved it"), (4, 1.0, "12 trainings 12 solved it")],
)
def test_shares_and_words_of_nothing_solved_and_all_solved(solved_at, share, words):
    datasets = temporal(solved_at)
    rows = pascanu_temporal_order.rows(datasets)
    assert [row.ours for row in rows] == [share] * 6
    assert words in captions(pascanu_temporal_order, datasets)


def test_only_both_together_at_published_lengths_stand_beside_a_number():
    published = {r.quantity: r.published for r in pascanu_temporal_order.rows(temporal_order())}
    assert published.pop("share solved at length 50 by clipping + penalty") == "1"
    assert set(published.values()) == {""}


def test_the_budget_is_the_part_of_theirs_that_is_said():
    settings = pascanu_temporal_order.Settings()
    assert 500 * settings.n_updates == pascanu_temporal_order.PUBLISHED_UPDATES
    assert "10,000 updates here, 1/500" in pascanu_temporal_order.MISSING[0]
    assert settings.n_updates == 10_000
    assert (settings.n_hidden, settings.batch_size, settings.learning_rate) == (50, 20, 0.01)
    assert (settings.clip_norm, settings.penalty, settings.tolerance) == (1.0, 4.0, 0.01)


def test_two_numbers_are_marked_anywhere_and_their_sum_is_due():
    batch = irnn_adding.adding(6, 4000, np.random.default_rng(0))
    numbers, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    assert set(np.unique(marks)) == {0.0, 1.0}
    assert (marks.sum(axis=0) == 2).all()
    assert np.allclose((numbers * marks).sum(axis=0), batch.targets[-1, :, 0])
    assert (batch.weights[-1] == 1).all()
    assert not batch.weights[:-1].any()
    pairs = marks.T @ (2.0 ** np.arange(6))
    assert np.unique(pairs).size == 15  # every pair of 6 steps
    assert np.allclose(marks.mean(axis=1), 1 / 3, atol=4 * np.sqrt(2 / 9 / 4000))


@pytest.fixture(scope="module")
def added():
    return irnn_adding.compute(irnn_adding.REDUCED, progress=False)


def test_answering_1_has_the_published_error_or_is_said_not_to(added):
    first = irnn_adding.rows(added)[0]
    assert first.agrees
    off = added["adding"].assign(answering_1=added["adding"].answering_1 + 1.0)
    assert irnn_adding.rows({"adding": off})[0].agrees is False


def test_small_networks_are_claimed_to_agree_after_as_many_sequences_alone(added):
    assert [row.agrees for row in irnn_adding.rows(added)[1:3]] == [None, None]
    data = added["adding"].copy(deep=True)
    settings = figures.configuration(data) | {"n_updates": 2500, "batch_size": 16}
    data.attrs["configuration"] = json.dumps(settings)
    data.small_error[:] = [[0.05, 0.04, 0.06], [0.1655, 0.1655, 0.1655]]
    assert [row.agrees for row in irnn_adding.rows({"adding": data})[1:3]] == [True, True]
    data.small_error[:] = [[0.16, 0.16, 0.161], [0.05, 0.04, 0.06]]
    assert [row.agrees for row in irnn_adding.rows({"adding": data})[1:3]] == [False, False]


@pytest.mark.parametrize(
    ("error", "words"), [(0.2, "0 have an error below 0.1, of 12"), (0.01, "12 have an error")]
)
def test_words_count_networks_that_learned(added, error, words):
    data = added["adding"].copy(deep=True)
    data.error[:] = error
    assert words in captions(irnn_adding, {"adding": data})


def test_an_irnn_starts_from_the_identity_and_without_biases():
    rnn = irnn_adding._drawn("IRNN", irnn_adding.Settings(), 100, 2)
    assert np.array_equal(rnn.W_hh, np.broadcast_to(np.eye(100), (2, 100, 100)))
    assert not rnn.b_h.any()
    assert np.std(rnn.W_xh) == pytest.approx(0.01, rel=4 / np.sqrt(2 * 400))


def test_what_was_shown_is_due_in_the_next_block():
    settings = aicher_copy.Settings(batch_size=1)
    batch = aicher_copy.copying(200, settings, np.random.default_rng(0))
    shown = batch.inputs.argmax(axis=-1)
    assert aicher_copy.untold(batch, 40) == 0
    for b in range(1):
        starts = [t for t in range(160) if shown[t, b] == 1]
        assert len(starts) >= 160 // 20
        for start, after in pairwise(starts):
            m = (after - start) // 2
            assert 5 <= m <= 10
            assert (shown[start + 1 : start + m, b] >= 2).all()
            assert not shown[start + m : after, b].any()
            assert np.array_equal(batch.targets[start + m : after, b], shown[start : start + m, b])
    assert np.allclose(batch.weights.sum(axis=0), 1.0, rtol=1e-6)  # float32


def test_sequences_that_are_moved_together_have_targets_that_nothing_tells():
    rng = np.random.default_rng(0)
    variable = aicher_copy.copying(1000, aicher_copy.Settings(), rng)
    assert 0.06 < aicher_copy.untold(variable, 40) < 0.1  # .085 in the authors' file
    fixed = aicher_copy.copying(1000, aicher_copy.Settings(least_copied=10), rng)
    assert aicher_copy.untold(fixed, 40) == 0
    wrong = rnnsim.Sequences(fixed.inputs, np.full_like(fixed.targets, 5), fixed.weights)
    assert aicher_copy.untold(wrong, 40) > 0.8


def test_under_exact_geometric_decay_the_estimate_is_the_closed_form():
    beta, n = 0.5, 60
    log_phi = np.arange(n) * np.log(beta)
    found = np.exp(aicher_copy.estimate(log_phi, np.log(beta), tau=40))
    K = np.arange(1, n + 1)
    tails = beta**K / (1 - beta)
    least = (1 / (1 - beta) - 2 * tails).max()
    assert np.allclose(found, tails / least, rtol=1e-12)
    assert aicher_copy.chosen(np.log(found), 0.1) == 4  # 1/2^4 < .1 < 1/2^3


def test_without_decay_no_window_is_chosen():
    assert np.isnan(aicher_copy.estimate(np.zeros(20), 0.0, tau=10)).all()
    assert np.isnan(aicher_copy.estimate(np.zeros(20), np.nan, tau=10)).all()
    assert np.isnan(aicher_copy.chosen(np.full(5, np.nan), 0.1))
    assert np.isnan(aicher_copy.chosen(np.zeros(5), 0.1))
    assert np.isnan(aicher_copy._slope(np.full(5, -100.0)))


def test_perplexities_stand_beside_those_of_their_windows():
    datasets = aicher_copy.compute(aicher_copy.REDUCED, progress=False)
    assert all(row.published == "" for row in aicher_copy.rows(datasets))  # windows 2 and 4
    data = datasets["copying"].assign_coords(trained_with=[5, 30])
    rows = aicher_copy.rows({"copying": data})
    printed = {row.quantity: row.published for row in rows if row.published}
    assert printed == {
        "test perplexity, trained with K = 5": "1.47",
        "test perplexity, trained with K = 30": "1.31",
    }
    assert (datasets["copying"].needed >= 1).all()
