"""One Hypothesis profile: the same examples on every run, and time for compilation in the first."""

from builders import EXAMPLES
from hypothesis import settings

settings.register_profile("rnnsim", derandomize=True, deadline=None, max_examples=EXAMPLES)
settings.load_profile("rnnsim")
