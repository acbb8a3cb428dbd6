from __future__ import annotations

import pytest

from securechat.irc.isupport import TOKENS_PER_LINE, Isupport, format_tokens, token_lines
from securechat.irc.message import BODY_BYTES, MAX_PARAMS, Message
from securechat.irc.modes import ModeKinds


def isupport(*tokens: str) -> Isupport:
    told = Isupport()
    told.update(tokens)
    return told


def test_format() -> None:
    tokens = {"NETWORK": "Example", "SAFELIST": None, "EXCEPTS": ""}
    assert format_tokens(tokens) == ["NETWORK=Example", "SAFELIST", "EXCEPTS="]


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Example Network", r"Example\x20Network"),
        ("a\\b", r"a\x5Cb"),
        ("a=b", r"a\x3Db"),
        ("a\r\n\0b", r"a\x0D\x0A\x00b"),
        (r"\x20", r"\x5Cx20"),
        ("é,:[]", "é,:[]"),
    ],
)
def test_escapes(value: str, escaped: str) -> None:
    r"""Modern IRC: "`\x20` for the space character, `\x5C` for the backslash character and `\x3D`
    for the equal character".
    """
    assert format_tokens({"KEY": value}) == [f"KEY={escaped}"]
    assert isupport(f"KEY={escaped}").get("KEY") == value


@pytest.mark.parametrize("escaped", [r"a\x", r"a\x2", r"a\xZZ", "a\\", r"a\20", r"a\X20"])
def test_what_is_no_escape_stays(escaped: str) -> None:
    assert isupport(f"KEY={escaped}").get("KEY") == escaped


def test_tokens_per_line() -> None:
    """Modern IRC: "the maximum number of `RPL_ISUPPORT` tokens that can be advertised is 13"."""
    tokens = [f"T{number}" for number in range(30)]
    lines = list(token_lines(tokens))
    assert [len(line) for line in lines] == [13, 13, 4]
    assert [token for line in lines for token in line] == tokens
    assert TOKENS_PER_LINE + len(["client", "text"]) == MAX_PARAMS


def test_long_tokens_fit_their_lines() -> None:
    tokens = [f"TOKEN{number}=" + "é" * 40 for number in range(20)]
    lines = list(token_lines(tokens))
    assert [token for line in lines for token in line] == tokens
    for line in lines:
        message = Message(
            "005", ("n" * 30, *line, "are supported by this server"), "irc." + "x" * 59
        )
        assert len(message.to_line().encode()) <= BODY_BYTES


@pytest.mark.parametrize("tokens", [["A"], ["A" * 1000], ["A", "B" * 1000, "C"]])
def test_no_line_is_empty_and_no_token_lost(tokens: list[str]) -> None:
    lines = list(token_lines(tokens))
    assert all(lines)
    assert [token for line in lines for token in line] == tokens


def test_no_tokens_no_line() -> None:
    assert list(token_lines([])) == []


def test_values() -> None:
    told = isupport("NETWORK=Example", "SAFELIST", "EXCEPTS=", "NICKLEN=30")
    assert "SAFELIST" in told
    assert "MONITOR" not in told
    assert told.get("NETWORK") == "Example"
    assert told.get("SAFELIST", "default") == ""
    assert told.get("EXCEPTS", "default") == ""
    assert told.get("MONITOR", "default") == "default"
    assert told.number("NICKLEN", 9) == 30
    assert isupport("NICKLEN=" + "9" * 18).number("NICKLEN", 9) == 10**18 - 1


def test_a_value_changes() -> None:
    """Modern IRC: "If the value of a parameter changes, the server SHOULD re-advertise the
    parameter with the new value".
    """
    told = isupport("CHANLIMIT=#:10")
    told.update(["CHANLIMIT=#:50"])
    assert told.get("CHANLIMIT") == "#:50"


def test_negation() -> None:
    """Modern IRC: "If the client receives a token like this, the client MUST consider that
    parameter to be removed and revert to the behaviour that would occur if the parameter was not
    specified".
    """
    told = isupport("CASEMAPPING=ascii", "CHANTYPES=!", "-CASEMAPPING", "-CHANTYPES")
    assert "CASEMAPPING" not in told
    assert told.casemapping == "rfc1459"
    assert told.is_channel("#a")


def test_negation_of_what_was_never_said() -> None:
    """Modern IRC: "The server MAY negate parameters which have not been previously advertised; in
    this case, the client MUST ignore the token".
    """
    told = isupport("-NICKLEN", "NETWORK=a")
    assert told.number("NICKLEN", 9) == 9
    assert told.get("NETWORK") == "a"


@pytest.mark.parametrize("value", ["", "x", "-1", "+1", "1 ", "1_0", "1.5", "²", "١", "9" * 5000])  # noqa: RUF001
def test_what_is_not_a_number(value: str) -> None:
    assert isupport(f"NICKLEN={value}").number("NICKLEN", 9) == 9


@pytest.mark.parametrize(
    ("tokens", "casemapping"),
    [
        ([], "rfc1459"),
        (["CASEMAPPING"], "rfc1459"),
        (["CASEMAPPING=rfc7613"], "precis"),
        (["CASEMAPPING=precis"], "precis"),
        (["CASEMAPPING=ascii", "UTF8MAPPING=rfc8265"], "precis"),
        (["CASEMAPPING=ascii", "UTF8MAPPING"], "ascii"),
        (["CASEMAPPING=unheard-of"], "rfc1459"),
        (["CASEMAPPING=rfc1459"], "rfc1459"),
        (["CASEMAPPING=rfc1459-strict"], "rfc1459-strict"),
        (["CASEMAPPING=ascii"], "ascii"),
    ],
)
def test_casemapping(tokens: list[str], casemapping: str) -> None:
    """Modern IRC: "If the parameter is not published by the server at all, clients SHOULD assume
    `CASEMAPPING=rfc1459`".
    """
    assert isupport(*tokens).casemapping == casemapping


def test_fold() -> None:
    told = isupport()
    assert told.fold("A[") == told.fold("a{")
    told.update(["CASEMAPPING=ascii"])
    assert told.fold("A[") != told.fold("a{")


@pytest.mark.parametrize(
    ("tokens", "channels", "users"),
    [
        ([], ["#a", "&a"], ["a", "+a", "!a", ""]),
        (["CHANTYPES=#"], ["#a", "#"], ["&a", "a", ""]),
        (["CHANTYPES=+!"], ["+a", "!a"], ["#a", ""]),
        (["CHANTYPES="], [], ["#a", "&a", ""]),
        (["CHANTYPES"], [], ["#a", ""]),
    ],
)
def test_is_channel(tokens: list[str], channels: list[str], users: list[str]) -> None:
    """Modern IRC: "The value is OPTIONAL; if it is not present, it indicates that no channel types
    are supported"; "clients SHOULD assume `CHANTYPES=#&`".
    """
    told = isupport(*tokens)
    assert [told.is_channel(target) for target in channels] == [True] * len(channels)
    assert [told.is_channel(target) for target in users] == [False] * len(users)


@pytest.mark.parametrize(
    ("tokens", "prefixes"),
    [
        ([], {"o": "@", "v": "+"}),
        (["PREFIX=(qaohv)~&@%+"], {"q": "~", "a": "&", "o": "@", "h": "%", "v": "+"}),
        (["PREFIX="], {}),
        (["PREFIX"], {}),
        (["PREFIX=()"], {}),
        (["PREFIX=(ov)@"], {"o": "@"}),
        (["PREFIX=(o)@+"], {"o": "@"}),
        (["PREFIX=ov@+"], {}),
    ],
)
def test_prefixes(tokens: list[str], prefixes: dict[str, str]) -> None:
    """Modern IRC: "The prefixes in this parameter are in descending order"; "clients SHOULD assume
    `PREFIX=(ov)@+`".
    """
    assert list(isupport(*tokens).prefixes.items()) == list(prefixes.items())


@pytest.mark.parametrize(
    ("tokens", "kinds"),
    [
        ([], ModeKinds("b", "k", "l", "imnpst", "ov")),
        (["CHANMODES=beI,kf,lj,psm"], ModeKinds("beI", "kf", "lj", "psm", "ov")),
        (["CHANMODES=b,k,l,i,XY", "PREFIX=(o)@"], ModeKinds("b", "k", "l", "i", "o")),
        (["CHANMODES=b,k"], ModeKinds("b", "k", "", "", "ov")),
        (["CHANMODES"], ModeKinds(prefix="ov")),
    ],
)
def test_channel_modes(tokens: list[str], kinds: ModeKinds) -> None:
    """Modern IRC: "a server MAY send additional types, delimited by a comma"."""
    assert isupport(*tokens).channel_modes == kinds


def test_what_is_no_token_is_ignored() -> None:
    told = isupport("", "=x", "-", "-=", "NICKLEN=30")
    assert "" not in told
    assert told.number("NICKLEN", 9) == 30


def test_a_hostile_server_does_not_fill_memory() -> None:
    told = isupport("NICKLEN=9")
    names = [f"TOKEN{number}" for number in range(10_000)]
    told.update(names)
    assert sum(name in told for name in names) < 1000
    told.update(["NICKLEN=30"])
    assert told.number("NICKLEN", 1) == 30
