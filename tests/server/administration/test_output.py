"""What the tools print."""

from __future__ import annotations

import json

import pytest

from securechat.server.administration.output import columns, moment, say, say_json, warn


def test_cells_stand_below_each_other() -> None:
    assert list(columns([("A", "LONG", "C"), ("longer", "x", ""), ("", "", "c")])) == [
        "A       LONG  C",
        "longer  x",
        "              c",
    ]
    assert list(columns([])) == []


@pytest.mark.parametrize(
    ("at_s", "text"),
    [(None, "never"), (0, "1970-01-01 00:00 UTC"), (1_700_000_059.9, "2023-11-14 22:14 UTC")],
)
def test_a_moment(at_s: float | None, text: str) -> None:
    assert moment(at_s) == text


def test_a_terminal_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    say("\xe9 \x1b[31m\u202e\nnext")
    warn("\x9b31m\t")
    said = capsys.readouterr()
    assert said.out == "\xe9 \\x1b[31m\\u202e\nnext\n"
    assert said.err == "securechat-server: \\x9b31m\\t\n"


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "\xe9\x1b", "list": [1, None]}
    say_json(value)
    said = capsys.readouterr().out
    assert said.isascii()
    assert json.loads(said) == value
