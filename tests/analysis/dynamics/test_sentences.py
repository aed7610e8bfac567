"""Every sentence of the phase diagram and the exponents, held against its data in plain NumPy."""

import re

import numpy as np
import pytest
from artists import configured, titled
from recomputed import facts, told_as

from analysis.dynamics import lyapunov, phase_diagram
from analysis.frame.words import Answer
from rnnsim import theory

NUMBER = r"([-+]?(?:inf|nan|\d+(?:\.\d+)?))"


def numbers(text):
    return [float(x) for x in re.findall(NUMBER, text)]


def claims(text, gain):
    """Whether a sentence such as "from gain 2 on and up to gain 1" says so of this gain."""
    if text.startswith("at all of these gains"):
        return True
    if text.startswith(("from none of these gains on", "at no gain")) and "but" not in text:
        return False
    found = False
    for part in text.split("but ")[-1].split(" and "):
        low = re.search(rf"(?:from|at) gain {NUMBER}", part)
        high = re.search(rf"(?:up to gain|to|at gain) {NUMBER}", part)
        below = low is None or float(low[1]) <= gain + 1e-9
        found |= below and (part.endswith("on") or gain <= float(high[1]) + 1e-9)
    return found


# The phase diagram.

GAINS, SEEDS = np.array([0.5, 1.0, 2.0, 3.0, 4.0]), 3
TINY = phase_diagram.Settings(
    gain=tuple(GAINS), strength=(0.0, 0.5), network_seeds=SEEDS, n_hidden=4, n_steps=60,
    burn_in=20, n_threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def phase():
    return phase_diagram.compute(TINY, progress=False)["phase"]


def shaped(by_gain, spread=0.0):
    """(strength, gain, seed) from values of gains, networks around them."""
    offset = spread * (np.arange(SEEDS) - 1.0)
    return np.broadcast_to(np.array(by_gain, float)[:, None] + offset, (2, len(GAINS), SEEDS))


CURVES = {
    "everything crosses": [0.1, 0.1, 0.2, 0.3, 0.4],
    "nothing crosses": [-0.1, -0.1, -0.2, -0.3, -0.4],
    "from below": [-0.3, -0.1, 0.2, 0.3, 0.4],
    "from above": [0.3, 0.1, -0.2, -0.3, -0.4],
    "twice": [-0.3, 0.1, 0.2, -0.3, -0.4],
    "three times": [-0.3, 0.1, -0.2, -0.3, 0.4],
    "at 0": [0.0, 0.0, 0.0, 0.0, 0.0],
    "left the range": [-0.3, -0.1, 0.2, np.nan, np.nan],
    "nothing known": [np.nan] * 5,
    "silent": [-np.inf, -np.inf, 0.2, 0.3, 0.4],
}


@pytest.mark.parametrize("forwards", CURVES)
@pytest.mark.parametrize("backwards", CURVES)
def test_sentences_on_crossings(phase, forwards, backwards):
    dims = ("strength", "gain", "network_seed")
    rates = {"lyapunov_exponent": CURVES[forwards], "growth_rate": CURVES[backwards]}
    arrays = {name: shaped(values, 0.03) for name, values in rates.items()}
    changed = {name: (dims, values) for name, values in arrays.items()}
    error = 0.04 + 0.0 * shaped(GAINS)
    data = phase.assign(changed).assign(
        standard_error=(dims, error), growth_live=(dims, error * 25)
    )
    *rows, agreement = facts(phase_diagram, {"phase": data})
    assert len(rows) == 2
    for strength, text in zip((0.0, 0.5), rows, strict=True):
        assert text.startswith(f"At input strength {strength:g} the median largest Lyapunov exp")
        found = re.search(r"above 0 (.*?), gradients grow (.*?); mean field.*: ([\d.]+)\. Of", text)
        for claim, curve in zip(
            found.groups(), (CURVES[forwards], CURVES[backwards]), strict=False
        ):
            check_claim(claim, np.array(curve))
        expected = theory.critical_gain(input_variance=strength**2)
        assert float(found[3]) == pytest.approx(float(expected), abs=0.005)
        networks, close = numbers(text.split(" Of ")[1])[:2]
        assert networks == GAINS.size * SEEDS
        assert close == (np.abs(arrays["lyapunov_exponent"][0]) <= 0.08).sum()
    check_agreement(agreement, *(x.ravel() for x in arrays.values()), error.ravel())
    check_answers(told_as(phase_diagram, {"phase": data}, Answer), CURVES[forwards], arrays)


def check_answers(answers, curve, arrays):
    """All strengths have the same curve; every network of a gain is within .03 of it."""
    known = [value for value in curve if not np.isnan(value)]
    above = sum(value > 0 for value in known)
    parting = (
        f"Neighbouring states part, in the median, at {above} of {len(known)} gains at input "
        f"strength 0, at {above} of {len(known)} gains at input strength 0.5."
    )
    forth, back = (x.ravel() for x in arrays.values())
    both = [(f, b) for f, b in zip(forth, back, strict=True) if np.isfinite([f, b]).all()]
    same = sum((f > 0) == (b > 0) for f, b in both)
    assert answers == [parting] * bool(known) + [
        f"States part and gradients grow, or neither of both, in {same} of {len(both)} networks."
    ] * bool(both)


def check_claim(claim, curve):
    known = ~np.isnan(curve)
    named = re.search(r"\(not known at (.*)\)", claim)
    assert (set() if named is None else set(numbers(named[1]))) == set(GAINS[~known])
    text = claim.split(" (")[0]
    for gain, value in zip(GAINS[known], curve[known], strict=True):
        assert claims(text, gain) == (value > 0), (text, gain)
    for i in np.flatnonzero(np.isfinite(curve[:-1]) & np.isfinite(curve[1:])):
        for gain in np.linspace(GAINS[i], GAINS[i + 1], 21)[1:-1]:  # a line between neighbours
            value = np.interp(gain, GAINS[i : i + 2], curve[i : i + 2])
            if abs(value) > 0.006 * abs(curve[i + 1] - curve[i]) and curve[i] != curve[i + 1]:
                assert claims(text, gain) == (value > 0), (text, gain)


def check_agreement(text, forth, back, error):
    known = np.isfinite(forth) & np.isfinite(back)
    if not known.any():
        assert text == "No network has both rates."
        return
    forth, back, error = forth[known], back[known], error[known]
    differ = (forth > 0) != (back > 0)
    median, most, signs, networks, *rest = numbers(text)
    assert median == pytest.approx(np.median(np.abs(forth - back)), abs=6e-5)
    assert most == pytest.approx(np.abs(forth - back).max(), abs=6e-4)
    assert (signs, networks) == (differ.sum(), known.sum())
    if differ.any():
        largest, _, told = rest[:3]
        assert largest == pytest.approx(np.abs(forth[differ]).max(), abs=6e-4)
        assert told == (np.abs(forth[differ]) > 2 * error[differ]).sum()
    else:
        assert rest == []


def test_networks_without_gradients_do_not_grow(phase):
    dims = ("strength", "gain", "network_seed")
    growth = np.array(shaped([-0.1, 0.1, 0.1, 0.1, 0.1]))
    growth[..., :2] = np.nan  # two networks of three are dead: the median is one of them
    live = np.where(np.isnan(growth), 0.0, 1.0)
    data = phase.assign(growth_rate=(dims, growth), growth_live=(dims, live))
    assert "gradients grow from none of these gains on" in facts(phase_diagram, {"phase": data})[0]
    left = data.assign(growth_live=(dims, np.ones_like(live)))  # not dead: not known
    text = facts(phase_diagram, {"phase": left})[0]
    assert "gradients grow from none of these gains on (not known at 0.5, 1, 2, 3, 4)" in text
    half = np.array(growth)
    half[..., 1:] = 0.1
    text = facts(
        phase_diagram,
        {"phase": data.assign(growth_rate=(dims, half), growth_live=(dims, np.ones_like(live)))},
    )[0]
    assert "gradients grow at all of these gains" in text


def test_all_chaotic_at_all_gains_as_computed():
    settings = phase_diagram.Settings(
        gain=(2.5, 3.0), strength=(0.0, 0.1), network_seeds=3, n_hidden=64, n_steps=400
    )
    datasets = phase_diagram.compute(settings, progress=False)
    assert (datasets["phase"].lyapunov_exponent > 0).all()
    for text in facts(phase_diagram, datasets)[:-1]:
        assert "exponent is above 0 at all of these gains, gradients grow at all of these" in text


@pytest.mark.parametrize(
    ("activation", "word"), [("tanh", "chaotic"), ("relu", "unstable"), ("linear", "unstable")]
)
def test_the_title_says_what_lies_above_0(phase, activation, word):
    data = {"phase": configured(phase, activation=activation)}
    figure = phase_diagram.draw(data)["phase-diagram"]
    assert titled(figure.axes[0]) == f"Stable (blue, hatched) and {word} (red)"


# Lyapunov exponents.

UNITS = 4
FEW = lyapunov.Settings(
    gain=tuple(GAINS), n_hidden=UNITS, transition_n_hidden=(2, UNITS), network_seeds=SEEDS,
    n_steps=60, burn_in=20, block_steps=2, n_threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def exponents():
    return lyapunov.compute(FEW, progress=False)


def altered(datasets, curve, error=0.01, spread=0.002, **settings):
    """Largest exponents around a curve over gains, in both datasets; other settings."""
    found = {}
    for name, data in datasets.items():
        values = data.lyapunov_exponent.transpose("n_hidden", "exponent", "gain", "network_seed")
        values = values.copy(deep=True)
        values.loc[{"exponent": 1}] = shaped(curve, spread)[0]
        errors = (values.dims, np.full(values.shape, error))
        found[name] = configured(
            data.assign(lyapunov_exponent=values, standard_error=errors), **settings
        )
    return found


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_sentences_on_exponents(exponents, curve, activation):
    datasets = altered(exponents, CURVES[curve], activation=activation)
    first, *sentences = facts(lyapunov, datasets)
    word = "chaotic" if activation == "tanh" else "unstable"
    assert first.startswith(word.capitalize())
    assert ("over 40 steps after 20; that may be a transient." in first) == (activation == "tanh")
    values = shaped(CURVES[curve], 0.002)[0]  # gain, seed
    above = (values > 0.02) | np.isnan(values)
    middle = int(np.abs(GAINS - 1.5).argmin())
    for H, text in zip((2, UNITS), sentences[:2], strict=True):
        where = text.removeprefix(f"H = {H}: half of the networks or more are {word} ")
        for gain, share in zip(GAINS, above.mean(axis=1), strict=True):
            assert claims(where.rstrip("."), gain) == (share >= 0.5), (text, gain)
    for H, text in zip((2, UNITS), sentences[2:4], strict=True):
        assert text.startswith(f"H = {H}, gain {GAINS[middle]:g}: the largest exponent")
        assert f"; {int(above[middle].sum())} of {SEEDS} networks are {word}." in text
        if np.isnan(values[middle]).all():
            assert "are not known" in text
        else:
            quartiles = np.full(3, -np.inf)
            if np.isfinite(values[middle]).all():
                quartiles = np.quantile(values[middle], [0.5, 0.25, 0.75])
            np.testing.assert_allclose(numbers(text)[2:5], quartiles, atol=6e-4)
    if activation == "tanh":
        expected = float(theory.mean_field(GAINS[middle]).largest_exponent)
        assert sentences[4] == (
            f"Mean field says {expected:+z.3f} at gain {GAINS[middle]:g} for large networks."
        )
    assert len(sentences) == (6 if activation == "tanh" else 5)


@pytest.mark.parametrize("curve", CURVES)
def test_the_answer_on_exponents(exponents, curve):
    values = shaped(CURVES[curve], 0.002)[0]
    half = ((values > 0.02) | np.isnan(values)).mean(axis=1) >= 0.5
    turns = np.flatnonzero(half[1:] != half[:-1])
    expected = []
    if not half.any():
        expected = [
            f"Trajectories part in fewer than half of the networks at every gain ({UNITS} units)."
        ]
    elif half[-1] and len(turns) == 1:
        gain = GAINS[turns[0] + 1]
        expected = [
            f"From gain {gain:g} on trajectories part in half of the networks or more "
            f"({UNITS} units)."
        ]
    assert told_as(lyapunov, altered(exponents, CURVES[curve]), Answer) == expected


def attractor(datasets, dimension=(2.0, 3.25, 3.5), entropy=0.5, **settings):
    """The sentence on the attractor, of three networks around these ends and this entropy rate."""
    data = configured(datasets["spectra"], **settings)
    names = ("kaplan_yorke_low", "kaplan_yorke", "kaplan_yorke_high")
    changes = {
        name: 0 * data.network_seed + end * (data.gain > 0)
        for name, end in zip(names, dimension, strict=True)
    }
    changes |= {"entropy_rate": entropy + 0.1 * (data.network_seed - 1) + 0 * data.gain}
    data = data.assign({name: x.expand_dims(n_hidden=data.n_hidden) for name, x in changes.items()})
    return facts(lyapunov, datasets | {"spectra": data})[-1], data


def test_sentences_on_the_attractor(exponents):
    text, data = attractor(exponents)
    mean = np.median(data.lyapunov_exponent.sel(gain=4.0).values[0].mean(axis=-1))
    assert text == (
        "At gain 4 the median network of 4 units has an attractor of dimension 3.2 and an entropy "
        f"rate of 0.50 nats/step; the mean of its exponents is {mean:+z.2f} nats/step. Within two "
        "standard errors the dimension is 2 to 3.5."
    )
    text, _ = attractor(exponents, (0.0, 1.0, 1.01), driven=True, task="adding")
    assert "dimension 1.0, given the input, and" in text
    assert text.endswith("the dimension is 0 to 1, undecided.")
    text, _ = attractor(exponents, activation="relu")
    assert "dimension, that of an attractor only where states stay bounded, of 3.2 and" in text
    text, _ = attractor(exponents, (np.nan,) * 3)
    assert "an attractor of dimension unknown and" in text
    assert text.endswith("the dimension is not known.")


def test_unstable_linear_networks_have_no_attractor():
    settings = vars(FEW) | {"activation": "linear", "gain": (0.5, 1.3)}
    datasets = lyapunov.compute(lyapunov.Settings(**settings), progress=False)
    spectra = datasets["spectra"].isel(n_hidden=-1).sel(gain=1.3)
    text = facts(lyapunov, datasets)[-1]
    largest = spectra.lyapunov_exponent.sel(exponent=1)
    error = spectra.standard_error.sel(exponent=1)
    unstable = int((largest > np.maximum(2 * error, 0.002)).sum())
    assert unstable > 0
    assert text.startswith(
        f"At gain 1.3 {unstable} of 3 linear networks of 4 units are unstable and have no attractor"
    )
    positive = spectra.lyapunov_exponent.where(spectra.lyapunov_exponent > 0, 0).sum("exponent")
    assert f"add up to {float(positive.median()):.2f} nats/step" in text
    assert np.isnan(spectra.kaplan_yorke.values[(largest > 2 * error).values]).all()
    for figure in lyapunov.draw(datasets).values():
        figure.draw_without_rendering()
        words = " ".join(titled(ax) for ax in figure.axes)
        assert "attractor" not in words
        assert "chaotic" not in figure.get_supxlabel() + words
    stable = {name: data.sel(gain=[0.5]) for name, data in datasets.items()}
    assert (stable["spectra"].kaplan_yorke == 0).all()
    text = facts(lyapunov, stable)[-1]
    assert "has an attractor of dimension 0.0 and an entropy rate of 0.00 nats/step" in text
    assert text.endswith("the dimension is 0.")


def test_one_network_at_one_gain_has_sentences():
    settings = vars(FEW) | {"gain": (2.0,), "network_seeds": 1, "transition_n_hidden": (3,)}
    datasets = lyapunov.compute(lyapunov.Settings(**settings), progress=False)
    _, where, mixture, _, _ = facts(lyapunov, datasets)
    data = datasets["transition"].squeeze()
    value, error = float(data.lyapunov_exponent), float(data.standard_error)
    chaotic = value > max(2 * error, 0.002)
    assert where.endswith("at all of these gains." if chaotic else "at no gain.")
    np.testing.assert_allclose(numbers(mixture)[2:5], [value] * 3, atol=6e-4)
    assert f"{int(chaotic)} of 1 network is" in mixture


@pytest.mark.parametrize("curve", ["everything crosses", "nothing crosses", "three times"])
def test_captions_on_exponents(exponents, curve):
    datasets = altered(exponents, CURVES[curve], spread=0.2)
    captions = {name: figure.get_supxlabel() for name, figure in lyapunov.draw(datasets).items()}
    spectra, transition = (
        datasets[name].transpose("n_hidden", "gain", "network_seed", "exponent", ...)
        for name in ("spectra", "transition")
    )
    share = (spectra.lyapunov_exponent.values[0] > 0).sum(axis=-1).max() / UNITS
    assert (
        f"do more than {100 * share:.0f}% of the directions grow" in captions["lyapunov-spectrum"]
    )
    largest = transition.lyapunov_exponent.values[..., 0]  # size, gain, seed
    above = (largest > 0.02).mean(axis=-1)
    mixed = ((above > 0) & (above < 1)).sum()
    assert f"at {mixed} of {above.size} points" in captions["transition"]
    assert "two standard errors, and 0.002 nats/step, above the" in captions["transition"]
    shown = [list(GAINS).index(gain) for gain in (1.0, 2.0)]  # nearest to those around 1
    grow = spectra.lyapunov_exponent.values[0, shown, :, 0] > 0
    blocks = spectra.finite_time.transpose("gain", "network_seed", ...).values
    shrink = (blocks.reshape(len(GAINS), SEEDS, -1) < 0).any(axis=-1)[shown]
    both = (grow & shrink).sum()
    ticks = f"{grow.sum()} tick{'' if grow.sum() == 1 else 's'} above 0, a network at a gain each"
    words = f"Of {ticks}, {both} {'has' if both == 1 else 'have'} blocks in which"
    expected = words if grow.any() else "No tick, a network at a gain, is above 0."
    assert expected in captions["finite-time"]


def test_linear_networks_are_not_said_to_rest(exponents):
    figure = lyapunov.draw(altered(exponents, CURVES["from below"], activation="linear"))
    said = figure["lyapunov-spectrum"].get_supxlabel()
    assert "Dashed, of large networks: ln |eigenvalue| by the circular law (linear). " in said
    assert "rest" not in said
