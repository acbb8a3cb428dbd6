"""What the log tells of the chat: who comes and goes, never what is said."""

from __future__ import annotations

from securechat.irc.peering import fingerprint_of
from securechat.server.journal import describe
from securechat.server.network import Network
from tests.server.network_transcripts import LIMITS, parse_event

SAID = "a secret between us"


def journal(*lines: str) -> list[list[str]]:
    """Return what the log says of each event."""
    network = Network(LIMITS)
    events = [parse_event(line, number) for number, line in enumerate(lines)]
    return [list(describe(network.apply(event))) for event in events]


SETTING = ("1 attach alice", "2 attach bob", "1 join #den", "2 join #den", "1 join #hall")


def test_joins_tell_how_many_are_there() -> None:
    assert journal(*SETTING) == [
        [],
        [],
        ["join alice #den: 1 there"],
        ["join bob #den: 2 there"],
        ["join alice #hall: 1 there"],
    ]


def test_leaving_tells_how_many_remain() -> None:
    assert journal(*SETTING, f"2 part #den {SAID}")[-1] == ["leave bob #den: 1 remain"]
    assert journal(*SETTING, f"1 kick #den bob {SAID}")[-1] == ["kick bob #den by alice: 1 remain"]
    assert journal(*SETTING, f"1 detach {SAID}")[-1] == [
        "leave alice #den: 1 remain",
        "leave alice #hall: 0 remain",
    ]


def test_names() -> None:
    *_, nick, login = journal(*SETTING, "1 nick alison", "1 login alice")
    assert nick == ["nick alice is now alison"]
    assert login == ["login alison account alice"]


def test_who_can_be_reached_as_a_peer() -> None:
    """And nothing of what peers say to each other."""
    *_, announced = journal("1 attach alice as alice", "1 announce desk")
    assert announced == [f"announce alice device {fingerprint_of(b'desk')}"]
    both = ("1 attach alice as alice", "2 attach bob as bob", "1 announce desk", "2 announce phone")
    private = (
        "1 offer bob * p",
        "2 answer p",
        "1 candidates p 192.0.2.1:5000",
        "2 tunnel p",
        f"1 withdraw p {SAID}",
        "1 retract",
    )
    assert journal(*both, *private)[len(both) :] == [[] for _ in private]


def test_bans_and_closed_accounts() -> None:
    """And not the reasons."""
    *_, added, ended = journal(*SETTING, f"0 kline - bob!*@* {SAID}", "0 unkline bob!*@*")
    assert added == [
        "K-line bob!*@* by root without an end: 1 devices there",
        "put off bob: Banned, 1 devices",
        "leave bob #den: 1 remain",
    ]
    assert ended == ["K-line bob!*@* removed by root"]
    *_, suspended, forgotten = journal(
        "1 attach alice as alice", f"0 close alice {SAID}", "0 forget alice x"
    )
    assert suspended == ["account alice closed", "put off alice: Account closed, 1 devices"]
    assert forgotten == ["account alice forgotten"]
    assert journal("0 kline 0 x!*@* x", "0 dline 1 192.0.2.1 x")[-1] == [
        "K-line x!*@* has ended",
        "D-line 192.0.2.1 by root until 1970-01-01 00:00:01 UTC: 0 devices there",
    ]


def test_what_is_said_and_set_is_not_told() -> None:
    quiet = (
        f"1 privmsg #den {SAID}",
        f"1 privmsg bob {SAID}",
        f"1 notice #den {SAID}",
        f"1 topic #den {SAID}",
        f"1 away {SAID}",
        f"1 realname {SAID}",
        "1 mode #den +k secret",
        "1 invite #hall bob",
        "1 umode +i",
        "2 account bob",
    )
    assert journal(*SETTING, *quiet)[len(SETTING) :] == [[] for _ in quiet]
