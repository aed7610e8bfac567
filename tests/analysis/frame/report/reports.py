"""Reports to test: of every kind of figure, hostile in every text, and empty."""

import math

import numpy as np

from analysis.frame import figures
from analysis.frame.report import Curve, Picture, Report, Table

HOSTILE = (
    "</script><img src=x onerror=alert(1)><!-- '\"&amp;{{ 7*7 }} \u2028 \x1b[31m \udcff ]]>.pt"
)


def decaying():
    """Two lines on a log axis beside two bars, theory dashed."""
    lags = np.arange(1, 101)
    norms = {"measured $W_{hh}$": np.exp(-lags / 12.0), "through c": np.exp(-lags / 30.0)}
    with figures.style():
        figure, (left, right) = figures.new_figure(1, 2, figsize=(10.4, 4.0))
        for name, norm in norms.items():
            left.semilogy(lags, norm, label=name)
        left.semilogy(lags, np.exp(-lags / 15.0), **figures.theory(), label="theory")
        left.set(xlabel="lag $k$ (steps)", ylabel=r"norm of $\partial L_t/\partial h_{t-k}$")
        left.legend()
        right.bar([0, 1], [0.7, 0.3], color=figures.shades(2))
        right.set_xticks([0, 1], ["W_hh", "W_xh"])
        right.set(ylabel="share of the gradient")
    curves = [
        Curve(
            left, name, lags, norm, [f"lag {k}: {y:.3g}" for k, y in zip(lags, norm, strict=True)]
        )
        for name, norm in norms.items()
    ]
    curves.append(Curve(right, "share", np.arange(2), np.array([0.7, 0.3]), ["0.7", "0.3"]))
    rows = [(str(k), *(f"{norm[k - 1]:.3g}" for norm in norms.values())) for k in (1, 10, 100)]
    table = Table("Norms by lag", ("lag (steps)", *norms), rows)
    words = "The gradient falls by a factor of e in 12 steps; through c alone in 30."
    return Picture("norms", "How far back the gradient reaches", words, figure, curves, table)


def mapped(n=100_000):
    """A map of n cells with a contour, a word and a line of n points on it."""
    values = np.sin(np.linspace(0, 20, n)).reshape(200, -1)
    with figures.style():
        figure, ax = figures.new_figure(figsize=(6.4, 4.0))
        mesh = ax.pcolormesh(values)
        figure.colorbar(mesh, ax=ax, label="cosine")
        x = np.linspace(0, values.shape[1], n)
        ax.plot(x, 100 + 50 * np.sin(x), "k--")
        ax.text(20, 20, "on the map", color="white")
        ax.set(xlabel="time $t$ (steps)", ylabel="unit $i$")
    curves = [Curve(ax, "sine", x, 100 + 50 * np.sin(x), [f"{each:.2f}" for each in x])]
    table = Table("Nothing to list", ("unit", "cosine"), ())
    return Picture(
        "map", "A map with a line on it", "Every cell is a number.", figure, curves, table
    )


def scattered(name="dots", text="one"):
    """Dots, some of them NaN or outside, on one axis; a band."""
    angle = np.linspace(0, 2 * np.pi, 40)
    x, y = np.cos(angle), np.sin(angle)
    x[3], y[5] = np.nan, np.inf
    with figures.style():
        figure, ax = figures.new_figure(figsize=(5.2, 4.4))
        ax.plot(x, np.where(np.isfinite(y), y, np.nan), ".", color="black", ms=9)
        ax.fill_between([-1, 1], -0.1, 0.1, alpha=0.2, lw=0)
        ax.set(xlim=(-1.2, 0.8), xlabel=figures.plain(text), ylabel="Im", aspect="equal")
    texts = [f"{text} {i}" for i in range(40)]
    table = Table(text, (text, "x"), [(text, "1.0"), (f"{text} 2", "-3")])
    return Picture(name, text, text, figure, [Curve(ax, text, x, y, texts)], table)


def report(pictures=None, text=None, data=None):
    """A report of these pictures; `text`, if any, stands wherever a text can."""
    numbers = Table(
        text or "What was measured",
        ("finding", "says", "number", "error", "unit"),
        [
            (text or "gradient rate", text or "vanishes", "-0.083", "0.004", "nats per step"),
            ("window for 10 %", "found", "27", "3", "steps"),
        ],
    )
    found = data or {"rate": -0.083, "missing": math.nan, "dead": -math.inf, "lags": np.arange(3)}
    return Report(
        title=text or "Diagnosis of lstm.pt",
        verdict=text
        or "The gradient vanishes: it falls by a factor of e in 12 ± 1 steps, and a window of 27 "
        "steps keeps 90 % of it on these data.",
        subject=text or "lstm.pt: 128 units, LSTM, 16 sequences of 100 steps, window 35.",
        to_try=[text or "A window of 27 steps instead of 35 costs 10 % of the gradient.", "More."],
        numbers=[numbers],
        pictures=[decaying(), mapped(), scattered()] if pictures is None else pictures,
        reproduce={
            text or "command": text or "rnnsim diagnose lstm.pt --data words.npz --window 35",
            "rnnsim": "0.1.0",
            "sha256 of the weights": f"{2**255:064x}",
        },
        data={text: text, **found} if text else found,
    )
