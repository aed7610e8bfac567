"""What is public says in a few lines what it is."""

import inspect
import tracemalloc
from functools import cache
from pathlib import Path

import numpy as np
from every_result import batch, each_of, networks, pairs, results
from probing_calls import MONITOR, seen

import rnnsim
from rnnsim import tasks, theory

FIXTURES = Path(__file__).parents[2] / "importing" / "fixtures"
OF_KERNELS = {"Weights", "StepNorms"}  # tuples of arrays, read by kernels


@cache
def everything():
    """All results, and what else is public."""
    others = {
        "RNN": networks("vanilla"),
        "Stack": networks("lstm stack"),
        "EncoderDecoder": rnnsim.EncoderDecoder.sample(
            n_source_inputs=2, n_inputs=3, n_hidden=4, n_outputs=3, cell="gru", rng=0
        ),
        "LossGradients": results()["Sequences of derivatives"].gradients,
        "Description": rnnsim.describe(FIXTURES / "torch-gru-1.pt"),
        "Monitor": MONITOR,
        "Probe": seen(),
        "ProbeRecord": seen().records[0],
        "Segment": rnnsim.Segment(0, 0, 0, 5, 5, True, 0),
        "Alphabet": tasks.number_alphabets()[0],
        "Alphabet of many": tasks.Alphabet("".join(map(chr, range(100, 9000)))),
        "Corpus": tasks.corpus(),
        "SentenceCorpus": tasks.sentence_corpus(),
    }
    found = rnnsim.diagnose(networks("lstm", N=1), batch(T=4))
    others |= {"Diagnosis": found, "Comparison": found.beside(found)}
    others |= {f"Finding {each.name}": each for each in found}
    return {**results(), **others}


def test_every_public_class_is_among_them():
    public = {
        name
        for space in (rnnsim, tasks, theory)
        for name in space.__all__
        if inspect.isclass(getattr(space, name))
    }
    shown = {type(each).__name__.removeprefix("Stack") or "Stack" for each in everything().values()}
    assert public - OF_KERNELS <= shown


@each_of(everything)
def test_a_repr_fits_in_a_few_lines(name):
    text = repr(everything()[name])
    assert text.startswith(type(everything()[name]).__name__ + "(")
    assert "array(" not in text
    assert len(text) <= 300
    assert "\n" not in text


@each_of(results)
def test_it_says_the_sizes_and_the_dtype(name):
    text, dataset = repr(everything()[name]), everything()[name].to_xarray()
    assert "dtype=float" in text
    if "network" in dataset.sizes:
        assert f"n_networks={dataset.sizes['network']}" in text
    if ", lstm," in f", {name}" and not name.startswith(("Sequences", "Windows")):
        assert "cell='lstm'" in text


def test_a_repr_of_layers_copies_nothing():
    flow = rnnsim.gradient_flow(networks("stack"), batch(T=100))
    held = sum(each.nbytes for layer in flow.layers for each in vars(layer).values()
               if isinstance(each, np.ndarray))  # fmt: skip
    tracemalloc.start()
    repr(flow)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * held


def test_what_they_say():
    data, rnn = batch(T=50, B=4), networks("vanilla")
    flow = rnnsim.gradient_flow(rnn, data)
    assert repr(flow) == (
        "GradientFlow(n_networks=2, n_loss_steps=50, n_lags=50, n_sequences=4, "
        "cell='vanilla', dtype=float64)"
    )
    few = data.astype("float32").last_loss_only()
    assert repr(rnnsim.bptt(networks("gru", dtype="float32"), few)) == (
        "Gradients(n_networks=2, n_inputs=2, n_hidden=3, n_outputs=4, n_sequences=4, n_steps=50, "
        "n_gates=3, cell='gru', dtype=float32)"
    )
    assert repr(data) == (
        "Sequences(n_steps=50, n_sequences=4, n_inputs=2, targets='classes', dtype=float64)"
    )
    assert repr(pairs()) == (
        "Pairs(n_source_steps=7, n_sequences=5, n_source_inputs=8, n_steps=6, n_inputs=2, "
        "targets='classes', dtype=float64)"
    )
    assert repr(seen().records[0]) == (
        "ProbeRecord(module='a', call=0, n_steps=4, n_sequences=2, dtype=float64)"
    )
    assert repr(rnnsim.growth_rate(flow)) == (
        "GrowthRate(n_networks=2, first_lag=2, last_lag=24, n_steps_used=26, cell='vanilla', "
        "dtype=float64)"
    )
    trained = rnnsim.train(rnn, data, n_updates=3)
    assert repr(trained) == f"Training(model={trained.model!r}, n_updates=3, n_diverged=0)"
