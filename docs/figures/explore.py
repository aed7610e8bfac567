"""One setting of the page, as a notebook draws it."""

import sys
from pathlib import Path

from analysis import explore, plot_explore_error, plot_explore_norm, plot_explore_phase, style
from analysis.frame.figures import new_figure

settings = explore.Settings(
    cell=("vanilla",),
    forget_bias=(0.0,),
    gain=(0.5, 1.0, 1.25, 1.5, 2.0),
    length=(10, 25, 50, 100),
    network_seeds=3,
)
numbers = explore.numbers_of(explore.compute(settings))
chosen, window = numbers.at(numbers.kinds[0], 1.25, 50), 10

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with style():
    figure, (norm, error, phase) = new_figure(1, 3, figsize=(14, 4.4))
    plot_explore_norm(chosen, window, decades=3, ax=norm)
    plot_explore_error(chosen, window, top=1.2, ax=error)
    plot_explore_phase(numbers, chosen, ax=phase)
    figure.savefig(folder / "setting.png")
words = (
    "Medians of three networks and their quartiles, at the framed gain and length, a window of 10."
)
(folder / "captions.txt").write_text(f"setting: {words}\n", encoding="utf-8")
