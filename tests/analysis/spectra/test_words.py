"""What the figures of spectra say in words: sign changes, captions and summaries."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from recomputed import facts

from analysis.spectra import spectra, spectrum_plots
from rnnsim.networks.initialisation import SCHEMES

ANALYSED = spectra
TINY = spectra.Settings(
    gain=(0.5, 1.5),
    spectrum_gain=1.25,
    length=12,
    n_hidden=8,
    network_seeds=2,
    batch_size=3,
    n_threads=1,
)


def with_values(datasets, **changes):
    """The same datasets with variables of the sweep over gains replaced."""
    data = datasets["schemes"]
    return datasets | {
        "schemes": data.assign({k: change(data[k]) for k, change in changes.items()})
    }


def test_the_caption_names_the_sign_changes(datasets):
    shifted = with_values(datasets, growth_rate=lambda _: np.log(datasets_radius(datasets)) - 0.2)
    caption = spectra.draw(shifted)["growth-against-radius"].get_supxlabel()
    assert f"orthogonal {np.exp(0.2):.2f}" in caption
    never = with_values(datasets, growth_rate=lambda rate: -abs(rate))
    assert "orthogonal none" in spectra.draw(never)["growth-against-radius"].get_supxlabel()


def datasets_radius(datasets):
    """Spectral radius with the axes of the growth rate."""
    data = datasets["schemes"]
    return data.spectral_radius.broadcast_like(data.growth_rate).transpose(*data.growth_rate.dims)


@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.35])
def test_sign_changes_of_a_line(datasets, shift):
    rates = np.log(datasets_radius(datasets)) - shift
    data = with_values(datasets, growth_rate=lambda _: rates)["schemes"]
    found = spectra.sign_changes(spectrum_plots.one_scheme(data, "orthogonal"))
    assert_allclose(found, [np.exp(shift)])  # ln(radius) is what is interpolated in: exact


def test_sign_changes_where_there_are_none(datasets):
    for change in (lambda rate: abs(rate) + 1, lambda rate: np.nan * rate):
        data = with_values(datasets, growth_rate=change)["schemes"]
        assert spectra.sign_changes(spectrum_plots.one_scheme(data, "gaussian")) == []


def summary(datasets, scheme):
    return [text for text in facts(spectra, datasets) if text.startswith(scheme)]


def test_summary_says_where_the_radius_passes_1(datasets):
    spectrum, _ = summary(datasets, "orthogonal")
    assert "passes 1 at gain 1.00 (theory 1.00)" in spectrum
    assert "W_hh is normal, its spectral norm 1.00 times" in spectrum
    doubled, _ = summary(
        with_values(datasets, spectral_radius=lambda radius: 2 * radius), "orthogonal"
    )
    assert "passes 1 at gain 0.50" in doubled
    assert "spectral norm 0.50 times" in doubled


def test_summary_says_between_what_powers_overshoot(datasets):
    assert (
        "1 times at least (Kreiss constant) and 1 times at most" in summary(datasets, "identity")[0]
    )
    data = spectrum_plots.one_scheme(datasets["schemes"], "gaussian")
    kreiss, condition = (float(data[name].median()) for name in ("kreiss", "eigenbasis_condition"))
    text = f"{kreiss:.3g} times at least (Kreiss constant) and {condition:.3g} times at most"
    assert text in summary(datasets, "gaussian")[0]
    assert 1 <= kreiss < condition


def test_summary_says_how_normal_each_scheme_is(datasets):
    measured_share = float(datasets["schemes"].henrici_relative.sel(scheme="gaussian").median())
    assert f"departure {measured_share:.0%} of its norm" in summary(datasets, "gaussian")[0]
    altered = with_values(datasets, henrici_relative=lambda share: 0 * share + 0.25)
    assert all("departure 25% of" in summary(altered, scheme)[0] for scheme in SCHEMES)


def test_summary_follows_the_growth_rates(datasets):
    radius = datasets_radius(datasets)
    linear = with_values(datasets, growth_rate=lambda _: np.log(radius) - 0.1)
    (text,) = summary(linear, "orthogonal")[1:]
    assert f"changes sign at spectral radius {np.exp(0.1):.2f}" in text
    assert f"largest rate is {np.log(1.5) - 0.1:+z.3f} nats/step at radius 1.50" in text
    assert "0.10 nats/step below ln(radius)" in text
    down = with_values(datasets, growth_rate=lambda rate: -abs(rate) - 1)
    up = with_values(datasets, growth_rate=lambda rate: abs(rate) + 1)
    assert "gradients vanish at every gain" in summary(down, "identity")[1]
    assert "gradients grow at every gain" in summary(up, "identity")[1]
    assert "above ln(radius)" in summary(up, "identity")[1]


def test_inverted_rates_give_another_summary(datasets):
    inverted = with_values(datasets, growth_rate=lambda rate: -rate)
    before, after = facts(spectra, datasets), facts(spectra, inverted)
    assert before[::2] == after[::2]
    assert all(a != b for a, b in zip(before[1::2], after[1::2], strict=True))


def test_too_few_lags_gain_0_and_one_scheme():
    settings = spectra.Settings(
        gain=(0.0, 1.0), spectrum_gain=0.0, length=2, n_hidden=2, network_seeds=1, batch_size=1,
        scheme=("uniform",), n_threads=1,
    )  # fmt: skip
    datasets = spectra.compute(settings, progress=False)
    for figure in spectra.draw(datasets).values():
        figure.draw_without_rendering()
    drawn = spectra.draw(datasets)
    assert "missing: too few lags" in drawn["growth-against-radius"].get_supxlabel()
    assert len(facts(spectra, datasets)) == 2
    assert facts(spectra, datasets)[1] == "uniform: no growth rate could be fitted."
