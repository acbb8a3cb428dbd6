"""AWAY and SETNAME (who else hears of them is in test_capabilities.py and test_devices.py)."""

from __future__ import annotations

import pytest

from tests.server.conftest import StartRelay
from tests.server.relay_harness import RunningRelay

BACK = "305 ann :You are no longer marked as being away"
GONE = "306 ann :You have been marked as being away"


def test_away(relay: RunningRelay) -> None:
    """ "If this command is sent with no parameters, or with the empty string as the parameter, the
    user is no longer away. The server acknowledges the change in away status by returning the
    RPL_NOWAWAY and RPL_UNAWAY numerics." """
    ann = relay.join("ann")
    assert ann.ask("AWAY :tea: time", "AWAY", "AWAY", "AWAY x", "AWAY :") == [
        GONE, BACK, BACK, GONE, BACK,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["x" * 300, "é" * 150, "x" + "é" * 150])
def test_a_long_text_is_cut(relay: RunningRelay, text: str) -> None:
    """AWAYLEN: "the maximum length that a client may specify for their own away message"."""
    ann = relay.join("ann")
    ann.ask(f"AWAY :{text}")
    shown = next(m.params[-1] for m in ann.collect("WHOIS ann") if m.command == "301")
    assert text.startswith(shown)
    assert 199 <= len(shown.encode()) <= 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 21, "é" * 11])
def test_bad_realnames(start_relay: StartRelay, name: str) -> None:
    """ "If the server rejects the realname as a result of a validation failure, it MUST send a FAIL
    message with the INVALID_REALNAME code." """
    ann = start_relay(limits={"realname_length": 20}).join("ann", "setname")
    text = "The real name must have 1 to 20 bytes"
    assert ann.ask(f"SETNAME :{name}") == [f"FAIL SETNAME INVALID_REALNAME :{text}"]
    assert ann.ask("SETNAME") == ["461 ann SETNAME :Not enough parameters"]
    assert "311" in " ".join(line for line in ann.ask("WHOIS ann") if line.endswith("Real ann"))


def test_good_realnames(relay: RunningRelay) -> None:
    """ "servers MUST provide a NAMELEN token in RPL_ISUPPORT with the maximum allowed length" """
    ann = relay.join("ann", "setname")
    for name in ("A", "x" * 150, "é" * 75, ":)"):
        (message,) = ann.collect(f"SETNAME :{name}")
        assert message.params == (name,)


# ---- pre-away ----


def test_away_before_the_registration(relay: RunningRelay) -> None:
    """ "If the capability has been negotiated, servers MUST accept the AWAY command before
    connection registration has completed. The AWAY command has its normal semantics" """
    bob, ann = relay.join("bob"), relay.connect()
    ann.request("draft/pre-away")
    assert ann.ask("AWAY :Gone to lunch") == ["306 * :You have been marked as being away"]
    ann.register("ann")
    assert bob.ask("PRIVMSG ann :hi") == ["301 bob ann :Gone to lunch"]
    assert ann.ask("AWAY")[-1] == BACK
    assert bob.ask("PRIVMSG ann :hi") == []


def test_back_before_the_registration(relay: RunningRelay) -> None:
    """ "Similarly, AWAY with no parameters indicates that the user is present." """
    bob, ann = relay.join("bob"), relay.connect()
    ann.request("draft/pre-away")
    assert ann.ask("AWAY :Gone", "AWAY")[-1] == "305 * :You are no longer marked as being away"
    ann.register("ann")
    assert bob.ask("PRIVMSG ann :hi") == []


def test_away_too_early(relay: RunningRelay) -> None:
    """Without the capability AWAY is for registered clients, as it has always been."""
    ann = relay.connect()
    assert ann.ask("AWAY :Gone") == ["451 * :You have not registered"]
    ann.register("ann")
    assert relay.join("bob").ask("PRIVMSG ann :hi") == []


def test_pre_away_does_not_hide_the_arrival(relay: RunningRelay) -> None:
    """ "AWAY pre-registration sets the away message but does not inhibit reporting of the change in
    nickname status, e.g. via monitor." """
    bob = relay.join("bob", "away-notify", "extended-monitor")
    bob.ask("MONITOR + ann")
    ann = relay.connect()
    ann.request("draft/pre-away")
    ann.send("AWAY *")
    ann.register("ann")
    assert [m.command for m in bob.sync()] == ["730", "AWAY"]


def test_a_star_is_no_text(relay: RunningRelay) -> None:
    """ "Clients MAY also send AWAY * post-registration to indicate that the user is no longer
    present for an unspecified reason." "Servers MAY substitute a human-readable message" """
    ann, bob = relay.join("ann"), relay.join("bob")
    assert ann.ask("AWAY *") == [GONE]
    assert bob.ask("PRIVMSG ann :hi") == ["301 bob ann :Not here at the moment"]
