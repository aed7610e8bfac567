"""The datasets of a small run of the analysis that a module tests, and Axes to draw on."""

import pytest
from matplotlib.figure import Figure

pytest.register_assert_rewrite("artists")


@pytest.fixture(scope="module")
def datasets(request):
    """What the module's `ANALYSED` computes with its settings `TINY`."""
    module = request.module
    return module.ANALYSED.compute(module.TINY, progress=False)


@pytest.fixture(scope="module")
def data(datasets):
    """The dataset of an analysis that makes one only."""
    (dataset,) = datasets.values()
    return dataset


@pytest.fixture
def ax():
    return Figure().subplots()
