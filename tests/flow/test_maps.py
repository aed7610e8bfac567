"""Maps of gradient flow beside the flows that they arrange, and pictures beside differences."""

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.flow.maps import gradient_map, part_of_the_words, picture_gradients


@pytest.fixture(scope="module")
def captioner():
    alphabet = tasks.caption_alphabet()
    return rnnsim.EncoderDecoder.captioner(
        2,
        n_source_inputs=64,
        n_inputs=alphabet.n_inputs,
        n_hidden=5,
        n_outputs=alphabet.n_outputs,
        rng=0,
    )


def test_lags_of_a_network_become_places():
    rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    batch = tasks.adding(9, 3, rng=1)
    batch = rnnsim.Sequences(batch.inputs, batch.targets)  # loss at every step
    found, flow = gradient_map(rnn, batch), rnnsim.gradient_flow(rnn, batch)
    assert found.places.tolist() == list(range(1, 10))
    for row, t in enumerate(found.steps):
        for s in range(1, 10):
            expected = flow.log_norms[:, row, t - s] if s <= t else np.full(2, np.nan)
            np.testing.assert_array_equal(found.log_norms[:, row, s - 1], expected)


def test_encoder_and_decoder_share_one_axis_that_is_0_at_the_boundary():
    english, german = tasks.number_alphabets(largest=20)
    pairs = tasks.number_words(3, rng=0, largest=20)
    model = rnnsim.EncoderDecoder.sample(
        2,
        n_source_inputs=len(english.characters),
        n_inputs=german.n_inputs,
        n_hidden=5,
        n_outputs=german.n_outputs,
        rng=1,
    )
    found, flow = gradient_map(model, pairs), rnnsim.pairs_flow(model, pairs)
    T_s = pairs.n_source_steps
    assert found.places.tolist() == list(range(1 - T_s, pairs.n_steps + 1))
    at = {int(place): column for column, place in enumerate(found.places)}
    boundary = found.log_norms[:, :, at[0]]
    np.testing.assert_array_equal(boundary, flow.encoder.log_norms[:, :, T_s])
    np.testing.assert_allclose(boundary, flow.decoder.log_norms[:, :, 0], rtol=1e-12)
    first, last = found.log_norms[:, :, at[1 - T_s]], found.log_norms[:, :, at[pairs.n_steps]]
    np.testing.assert_array_equal(first, flow.encoder.log_norms[:, :, 1])
    np.testing.assert_array_equal(last, flow.decoder.log_norms[:, :, pairs.n_steps])


def test_data_of_another_kind_than_the_model_takes(captioner):
    rnn, batch = captioner.decoder, tasks.adding(4, 2, rng=0)
    pairs = tasks.captions(2, rng=0)
    with pytest.raises(TypeError, match=r"`data` must be a rnnsim.Sequences .* RNN, got Pairs"):
        gradient_map(rnn, pairs)
    with pytest.raises(TypeError, match=r"`data` must be a rnnsim.Pairs .* got Sequences"):
        gradient_map(captioner, batch)
    with pytest.raises(TypeError, match=r"`data` must be a rnnsim.Pairs .* got ndarray"):
        gradient_map(captioner, pairs.source)
    with pytest.raises(TypeError, match=r"`model` must be a rnnsim.RNN, rnnsim.Stack or"):
        gradient_map(rnn.W_hh, batch)
    with pytest.raises(ValueError, match=r"`inputs` must have n_inputs = .* got 2"):
        gradient_map(rnn, batch)


def test_the_loss_of_one_word_alone():
    pairs = tasks.captions(4, rng=0)
    texts = tasks.caption_alphabet().decode(pairs.target.targets)
    for word in range(5):
        weights = part_of_the_words(pairs, texts, word).target.weights
        for b, text in enumerate(texts):
            counted = "".join(c for c, w in zip(text, weights[:, b], strict=False) if w)
            assert counted == text.split(" ")[word]
            assert weights[:, b].sum() == len(counted)


def test_pixel_gradients_are_those_of_differences(captioner):
    pairs = tasks.captions(1, rng=0)
    found = picture_gradients(captioner, pairs)
    for pixel in (0, 20, 35):
        losses = []
        for step in (-1e-5, 1e-5):
            source = pairs.source.copy()
            source[0, 0, pixel] += step
            losses.append(rnnsim.pairs_evaluate(captioner, rnnsim.Pairs(source, pairs.target)).loss)
        slope = (losses[1] - losses[0]) / 2e-5
        np.testing.assert_allclose(found[:, pixel], np.abs(slope), rtol=1e-5)


def test_pixel_gradients_are_averaged_over_pictures(captioner):
    pairs = tasks.captions(3, rng=0)
    alone = []
    for b in range(3):
        target = pairs.target
        one = slice(b, b + 1)
        part = rnnsim.Sequences(
            target.inputs[:, one], target.targets[:, one], target.weights[:, one]
        )
        alone.append(picture_gradients(captioner, rnnsim.Pairs(pairs.source[:, one], part)))
    np.testing.assert_allclose(
        picture_gradients(captioner, pairs), np.mean(alone, axis=0), rtol=1e-12
    )


def test_only_pictures_have_pixel_gradients(captioner):
    pairs = tasks.captions(2, rng=0)
    longer = rnnsim.Pairs(np.concatenate([pairs.source] * 2), pairs.target)
    with pytest.raises(ValueError, match="must be a captioner and `pairs` have one source step"):
        picture_gradients(captioner, longer)
