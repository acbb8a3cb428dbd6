"""Values: quick to make, and not to be changed."""

from __future__ import annotations

from dataclasses import field

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


@value
class Secret:
    """Two of its fields are not to be seen, or do not count."""

    name: str
    token: str = field(repr=False)
    seen: int = field(default=0, compare=False)


@value
class Nothing:
    """One is as good as another."""


@value
class Named(Point):
    name: str = ""

    def __repr__(self) -> str:
        return self.name


def test_what_is_said_of_a_field_holds() -> None:
    assert repr(Secret("alice", "1234")) == "Secret(name='alice', seen=0)"
    assert Secret("alice", "1", 2) == Secret("alice", "1", 3)
    assert hash(Secret("alice", "1", 2)) == hash(Secret("alice", "1", 3))
    assert Secret("alice", "1") != Secret("alice", "2")


def test_a_value_without_fields_has_one_value() -> None:
    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1
    assert repr(Nothing()) == "Nothing()"


def test_kinds_are_told_apart_and_may_say_what_they_are() -> None:
    assert Named(1, 2) != Point(1, 2)
    assert Point(1, 2) != Named(1, 2)
    assert Named(1, 2, "a") != Named(1, 2, "b")
    assert repr(Named(1, 2, "a")) == "a"
    match Named(1, 2, "a"):
        case Named(x, y, name):
            assert (x, y, name) == (1, 2, "a")


def test_the_type_checker_lets_nobody_change_it() -> None:
    code = "from securechat.server.events import SetAway; event: SetAway; event.text = 'changed'"
    found, _, _ = api.run(["--strict", "--config-file", "", "-c", code])
    assert 'Property "text" defined in "SetAway" is read-only' in found
