from __future__ import annotations

import pytest

from securechat.irc.modes import (
    CHANNEL_MODES,
    PREFIXES,
    USER_MODES,
    ModeChange,
    ModeKind,
    ModeKinds,
    format_modes,
    parse_modes,
    prefixes,
)

KINDS = ModeKinds(list="b", always="k", set="l", flag="imn", prefix="ov")

CASES: dict[str, tuple[str, list[str], list[ModeChange]]] = {
    "nothing": ("", [], []),
    "only signs": ("+-+", [], []),
    "no sign": ("i", [], [ModeChange(True, "i")]),
    "flags": ("+im-n", [], [ModeChange(True, "i"), ModeChange(True, "m"), ModeChange(False, "n")]),
    "sign twice": ("--i", [], [ModeChange(False, "i")]),
    "params in order": (
        "+ob-v",
        ["alice", "*!*@x", "bob"],
        [
            ModeChange(True, "o", "alice"),
            ModeChange(True, "b", "*!*@x"),
            ModeChange(False, "v", "bob"),
        ],
    ),
    "params missing": ("+ov", ["alice"], [ModeChange(True, "o", "alice"), ModeChange(True, "v")]),
    "params left over": ("+i", ["alice"], [ModeChange(True, "i")]),
    "unknown letter": ("+Xo", ["alice"], [ModeChange(True, "X"), ModeChange(True, "o", "alice")]),
    "empty param": ("+k", [""], [ModeChange(True, "k", "")]),
}


@pytest.mark.parametrize(("modestring", "params", "changes"), CASES.values(), ids=CASES)
def test_parse(modestring: str, params: list[str], changes: list[ModeChange]) -> None:
    assert parse_modes(modestring, params, KINDS) == changes


def test_list_mode_without_a_parameter() -> None:
    """Modern IRC, type A: "A client MAY issue this type of mode without an argument to obtain the
    current contents of the list".
    """
    assert parse_modes("b", [], KINDS) == [ModeChange(True, "b", None)]


@pytest.mark.parametrize("sign", ["+", "-"])
def test_type_b_always_has_a_parameter(sign: str) -> None:
    """Modern IRC, type B: "These modes MUST always have a parameter"."""
    adding = sign == "+"
    assert parse_modes(f"{sign}k", ["key"], KINDS) == [ModeChange(adding, "k", "key")]


def test_type_c_has_a_parameter_when_set() -> None:
    """Modern IRC, type C: "MUST have a parameter when being set, and MUST NOT have a parameter when
    being unset".
    """
    changes = parse_modes("-l+lo", ["5", "alice"], KINDS)
    assert changes == [
        ModeChange(False, "l"),
        ModeChange(True, "l", "5"),
        ModeChange(True, "o", "alice"),
    ]


def test_type_d_has_no_parameter() -> None:
    """Modern IRC, type D: "These modes MUST NOT have a parameter"."""
    assert parse_modes("+io-m", ["alice"], KINDS) == [
        ModeChange(True, "i"),
        ModeChange(True, "o", "alice"),
        ModeChange(False, "m"),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], ("",)),
        ([ModeChange(True, "i")], ("+i",)),
        (
            [ModeChange(False, "b", "*@a"), ModeChange(False, "l"), ModeChange(True, "i")],
            ("-bl+i", "*@a"),
        ),
        ([ModeChange(True, "o", "alice"), ModeChange(True, "v", "bob")], ("+ov", "alice", "bob")),
        ([ModeChange(True, "k", "")], ("+k", "")),
    ],
)
def test_format(changes: list[ModeChange], words: tuple[str, ...]) -> None:
    assert format_modes(changes) == words


@pytest.mark.parametrize(
    ("letter", "kind"),
    [
        ("b", "list"),
        ("k", "always"),
        ("l", "set"),
        ("i", "flag"),
        ("v", "prefix"),
        ("x", None),
        ("I", None),
    ],
)
def test_kind(letter: str, kind: ModeKind | None) -> None:
    assert KINDS.kind(letter) == kind


def test_isupport_value() -> None:
    """Modern IRC: "The value lists the channel mode letters of Type A, B, C, and D, respectively,
    delimited by a comma".
    """
    assert KINDS.isupport() == "b,k,l,imn"
    assert ModeKinds(flag="i").isupport() == ",,,i"


@pytest.mark.parametrize("kinds", [CHANNEL_MODES, USER_MODES], ids=["channel", "user"])
def test_no_letter_has_two_kinds(kinds: ModeKinds) -> None:
    """Modern IRC: "Server MUST NOT list modes in this parameter that are also advertised in the
    PREFIX parameter".
    """
    letters = kinds.list + kinds.always + kinds.set + kinds.flag + kinds.prefix
    assert len(set(letters)) == len(letters)


def test_user_modes_take_no_parameters() -> None:
    """Modern IRC: "User mode letters are always Type D modes"."""
    assert {USER_MODES.kind(letter) for letter in "io"} == {"flag"}
    assert USER_MODES.isupport().rpartition(",")[0] == ",,"


@pytest.mark.parametrize(
    ("ranks", "marks"),
    [("", ""), ("v", "+"), ("o", "@"), ("vo", "@+"), ("ovx", "@+")],
)
def test_prefixes(ranks: str, marks: str) -> None:
    """multi-prefix: "These prefixes MUST be in order of 'rank', from highest to lowest"."""
    assert prefixes(ranks) == marks
    assert prefixes(reversed(ranks)) == marks


def test_ranks_are_modes() -> None:
    assert {CHANNEL_MODES.kind(letter) for letter in PREFIXES} == {"prefix"}
