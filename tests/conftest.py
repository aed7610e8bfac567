"""One Hypothesis profile: the same examples on every run, and time for compilation in the first.

Collecting computes nothing: every process of every lane does it, also those that run no compiled
code or that of another processor, where what takes a second takes minutes.
"""

import gc

import pytest
from builders import EXAMPLES
from hypothesis import settings
from numba.core.dispatcher import Dispatcher

settings.register_profile("rnnsim", derandomize=True, deadline=None, max_examples=EXAMPLES)
settings.load_profile("rnnsim")


def pytest_collection_finish():
    """Refuse what has called a kernel while tests were collected."""
    kernels = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    called = {each.__name__ for each in kernels if each.signatures and _is_ours(each)}
    if called:
        raise pytest.UsageError(f"called while tests are collected: {', '.join(sorted(called))}")


def _is_ours(kernel):
    return kernel.__module__.startswith("rnnsim.")
