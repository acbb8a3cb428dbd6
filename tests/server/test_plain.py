"""Values in a plain form: what becomes of each type, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pytest

from securechat.server.plain import INTEGER_BITS, NotPlain, fields_of, form_of


class Point(NamedTuple):
    x: int
    data: bytes


@dataclass
class Thing:
    name: str
    flags: frozenset[str]
    points: dict[int, Point]
    passing: int = 0
    made: str = field(init=False, default="")


MOST = (1 << INTEGER_BITS - 1) - 1

EXAMPLES: list[tuple[Any, Any, Any]] = [
    (str, "ä", "ä"),
    (int, MOST, MOST),
    (int, -MOST - 1, -MOST - 1),
    (bool, True, True),
    (bytes, b"\0", "AA=="),
    (Literal["a", "b"], "b", "b"),
    (int | None, None, None),
    (int | None, 0, 0),
    (bytes | None, b"\0", "AA=="),
    (tuple[int, ...], (2, 1), [2, 1]),
    (tuple[bytes, ...], (b"\0",), ["AA=="]),
    (list[str], ["b", "a"], ["b", "a"]),
    (set[str], {"b", "a"}, ["a", "b"]),
    (frozenset[int], frozenset({10, 9}), [9, 10]),
    (dict[str, int], {"b": 1, "a": 2}, {"b": 1, "a": 2}),
    (Mapping[str, bytes], {"b": b"\0"}, {"b": "AA=="}),
    (dict[int, str], {2: "b", 1: "a"}, [[2, "b"], [1, "a"]]),
    (dict[int, None], {2: None, 1: None}, [2, 1]),
    (dict[str, None], {"b": None, "a": None}, ["b", "a"]),
    (dict[str, dict[int, None]], {"a": {1: None}}, {"a": [1]}),
    (Point, Point(1, b"\0"), [1, "AA=="]),
    (dict[int, Point], {1: Point(1, b"")}, [[1, [1, ""]]]),
]


@pytest.mark.parametrize(("hint", "value", "plain"), EXAMPLES)
def test_both_ways(hint: Any, value: Any, plain: Any) -> None:
    form = form_of(hint)
    assert json.dumps(form.to_plain(value)) == json.dumps(plain)
    found = form.from_plain(json.loads(json.dumps(plain)))
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, dict):
        assert list(found) == list(value)


REFUSED: list[tuple[Any, Any, str]] = [
    (str, 1, "a text is wanted, not int"),
    (int, True, "a whole number is wanted, not bool"),
    (int, 1.0, "a whole number is wanted, not float"),
    (int, MOST + 1, "over 64 bits"),
    (int, -MOST - 2, "over 64 bits"),
    (bool, 1, "true or false is wanted, not int"),
    (bytes, "AA", "not base64"),
    (Literal["a", "b"], "c", "one of a, b is wanted"),
    (int | None, "x", "a whole number is wanted, not str"),
    (tuple[int, ...], {"a": 1}, "a list is wanted, not dict"),
    (set[str], ["a", "a"], "twice"),
    (dict[int, None], [1, 1], "twice"),
    (dict[int, str], [[1, "a"], [1, "b"]], "twice"),
    (dict[int, str], [[1]], "a pair is wanted"),
    (dict[int, str], [1], "a list is wanted, not int"),
    (dict[str, int], [], "an object is wanted, not list"),
    (Point, [1], "a list of 2 values is wanted"),
    (Point, {"x": 1, "data": ""}, "a list of 2 values is wanted"),
]


@pytest.mark.parametrize(("hint", "plain", "problem"), REFUSED)
def test_what_is_refused(hint: Any, plain: Any, problem: str) -> None:
    with pytest.raises(NotPlain, match=problem):
        form_of(hint).from_plain(plain)


@pytest.mark.parametrize("hint", [float, Any, int | str, tuple[int, str], object])
def test_types_without_a_form(hint: Any) -> None:
    with pytest.raises(TypeError):
        form_of(hint)


def test_fields() -> None:
    form = fields_of(Thing, but=("passing",), made=form_of(str))
    thing = Thing("a", frozenset("ba"), {1: Point(2, b"")}, 5)
    plain = {"name": "a", "flags": ["a", "b"], "points": [[1, [2, ""]]], "made": ""}
    assert form.to_plain(thing) == plain
    assert form.from_plain(plain) == {
        "name": "a",
        "flags": frozenset("ab"),
        "points": {1: Point(2, b"")},
        "made": "",
    }
    with pytest.raises(NotPlain, match="points: a list of 2 values"):
        form.from_plain({**plain, "points": [[1, [2]]]})
    with pytest.raises(NotPlain, match="flags: missing"):
        form.from_plain({**{k: v for k, v in plain.items() if k != "flags"}, "passing": 1})
    with pytest.raises(NotPlain, match="1 unknown names"):
        form.from_plain({**plain, "passing": 1})
