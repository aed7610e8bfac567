"""The figures of a report, as `found.save("report.html")` puts them on its page."""

import sys
from pathlib import Path

import rnnsim
from analysis import style
from analysis.diagnosis.plots.pictures import pictures

lstm = rnnsim.RNN.sample(
    n_inputs=2, n_hidden=24, n_outputs=1, cell="lstm", scheme="pytorch", forget_bias=1.0, rng=0
)
vanilla = rnnsim.RNN.sample(n_inputs=2, n_hidden=24, n_outputs=1, gain=0.95, rng=0)
batch = rnnsim.tasks.adding(60, 48, rng=1)
limits = {"window": 15, "batch_size": 8, "clip_norm": 1.3, "clip_value": 0.2}

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with style():
    drawn = {each.name: each for each in pictures(rnnsim.diagnose(lstm, batch, **limits))}
    of_vanilla = {each.name: each for each in pictures(rnnsim.diagnose(vanilla, batch))}
    drawn["recurrent-matrix-vanilla"] = of_vanilla["recurrent-matrix"]
    for name, picture in drawn.items():
        picture.figure.savefig(folder / f"{name}.png")
captions = [f"{name}: {each.words}" for name, each in drawn.items()]
lines = "\n\n".join(line.replace("\n", " ") for line in captions)
(folder / "captions.txt").write_text(f"{lines}\n", encoding="utf-8")
