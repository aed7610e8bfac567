"""Numbers of the sentences on architectures, recomputed from data at the edges."""

import numpy as np
import pytest
from edges import first_of
from recomputed import facts, median, several

from analysis.networks import architectures

ANALYSED = architectures
TINY = architectures.Settings(
    architecture=("captions",), cell=("vanilla",), network_seeds=3, n_updates=4, n_hidden=4,
    batch_size=2, n_records=2, dtype="float64", n_threads=1,
)  # fmt: skip


def scores(*values):
    def edge(datasets):
        return {
            name: data.assign(test_score=data.test_score.copy(data=np.array(values)))
            for name, data in datasets.items()
        }

    return edge


EDGES = {
    "computed": dict,
    "all right": scores(1.0, 1.0, 1.0),
    "none right": scores(0.0, 0.0, 0.0),
    "far apart": scores(0.1, 0.7, 0.8),
    "one network": first_of("network_seed"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_scores_and_baselines_are_those_of_the_data(datasets, edge):
    data = EDGES[edge](datasets)["captions"]
    last = data.test_score.values
    words = facts(architectures, {"captions": data})[0]
    middle = median(last)
    assert (
        f"median of {several(last.size, 'network')} after {int(data.updates[-1])} updates" in words
    )
    assert f"{middle:.3g} ({min(last):.3g} to {max(last):.3g})" in words
    missed = []
    for name, score in zip(data.baseline.values, data.baseline_score.values, strict=True):
        assert f"{name} {score:.3g}" in words
        missed += [str(name)] if middle <= score else []
    verdict = f"not better than: {', '.join(missed)}" if missed else "better than all of them"
    assert words.endswith(f"{verdict}.")
