"""Schedules of truncated BPTT: laws of their segments, and who is refused."""

from itertools import pairwise

import numpy as np
import pytest
from builders import draws

from rnnsim.kernels.training.learning import Segment, segment_at
from rnnsim.training.schedules import CARRIES, truncation_schedule

pytestmark = pytest.mark.nojit
SHAPES = [(1, None, None), (7, None, None), (7, 3, None), (9, 4, 2), (8, 3, 1), (5, 20, 7)]


@pytest.mark.parametrize("carry", CARRIES)
@pytest.mark.parametrize(("T", "window", "stride"), SHAPES)
def test_every_loss_is_used_once_and_goes_back_as_far_as_the_window(T, window, stride, carry):
    S = stride or window or T
    found = truncation_schedule(T, window, stride, carry=carry)
    counted = [step for s in found for step in range(s.first + 1, s.end + 1)]
    assert counted == list(range(1, T + 1))
    for j, segment in enumerate(found):
        assert segment.scored
        assert segment.first == j * S
        assert segment.begin == max(0, (j + 1) * S - (window or T))
        assert segment.fresh == (carry == "none" or (carry == "sequence" and j == 0))
    for before, after in pairwise(found):
        assert before.keep == after.begin
        assert before.begin <= before.keep <= before.end


def test_what_has_no_loss_is_computed_where_it_leads_to_one():
    def blocks(carry):
        plan = truncation_schedule(12, 3, carry=carry, loss_steps=[5])
        return [(segment.first, segment.scored) for segment in plan]

    assert blocks("none") == [(3, True)]
    assert blocks("sequence") == [(0, False), (3, True)]
    assert blocks("stream") == [(0, False), (3, True), (6, False), (9, False)]


def test_the_loss_of_data_is_scheduled_whatever_its_order():
    batch = draws(np.random.default_rng(1), silent=0.9)
    given = truncation_schedule(7, 2, loss_steps=batch.loss_steps)
    assert given == truncation_schedule(7, 2, loss_steps=reversed(batch.loss_steps.tolist()))


def test_rows_of_a_schedule_are_segments():
    plan = [s._replace(batch=i, slot=7 * i - 1) for i, s in enumerate(truncation_schedule(9, 4, 2))]
    rows = np.array(plan, np.int64)
    assert rows.shape == (5, len(Segment._fields))
    assert [segment_at(rows, i) for i in range(5)] == plan


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "`n_steps` must be at least 1, got 0"),
        ({"window": 0}, ValueError, "`window` must be at least 1, got 0"),
        ({"window": 2.0}, TypeError, "`window` must be an integer of at least 1"),
        ({"window": 2, "stride": 3}, ValueError, "`stride` must be at most `window` = 2, got 3"),
        ({"stride": 3}, ValueError, "`stride` = 3 needs a `window`; give both or neither"),
        ({"carry": "state"}, ValueError, "`carry` must be one of 'sequence', 'stream', 'none'"),
        ({"loss_steps": [0, 1]}, ValueError, r"`loss_steps\[0\]` must be at least 1, got 0"),
        ({"loss_steps": [1, 7]}, ValueError, "`loss_steps` must be at most n_steps = 6, got 7"),
        ({"loss_steps": []}, ValueError, "`loss_steps` must hold at least one value, got none"),
        ({"loss_steps": 3}, TypeError, "`loss_steps` must be a series of integers such as"),
    ],
)
def test_schedules_that_make_no_sense(options, error, message):
    with pytest.raises(error, match=message):
        truncation_schedule(**({"n_steps": 6} | options))
