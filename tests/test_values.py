"""Values: quick to make, and not to be changed."""

from __future__ import annotations

import pytest
from mypy import api

from securechat.values import value


@value
class Point:
    x: int
    y: int = 0


def test_it_is_a_value() -> None:
    assert Point(1) == Point(1, 0)
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=0)"
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]


def test_the_type_checker_lets_nobody_change_it() -> None:
    code = "from securechat.server.events import SetAway; event: SetAway; event.text = 'changed'"
    found, _, _ = api.run(["--strict", "--config-file", "", "-c", code])
    assert 'Property "text" defined in "SetAway" is read-only' in found
