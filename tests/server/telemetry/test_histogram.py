from __future__ import annotations

import pytest

from securechat.server.telemetry.histogram import Distribution, Histogram


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([], (0, 0, 0)),
        ([0.0, 1.0], (2, 0, 0)),  # a bound belongs to the bucket below
        ([1.5, 2.0], (0, 2, 0)),
        ([2.1, 1000.0], (0, 0, 2)),
        ([0.5, 1.5, 2.5], (1, 1, 1)),
    ],
)
def test_values_are_counted_by_size(values: list[float], counts: tuple[int, ...]) -> None:
    histogram = Histogram([1.0, 2.0])
    for value in values:
        histogram.observe(value)
    found = histogram.snapshot()
    assert found == Distribution((1.0, 2.0), counts, sum(values))
    assert found.count == len(values)


def test_a_snapshot_stays_as_it_is() -> None:
    histogram = Histogram([1.0])
    before = histogram.snapshot()
    histogram.observe(0.5)
    assert before.count == 0
    assert histogram.snapshot().count == 1
