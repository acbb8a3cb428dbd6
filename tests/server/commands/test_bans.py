"""KLINE, UNKLINE, DLINE, UNDLINE: whom operators keep out of the relay."""

from __future__ import annotations

from typing import Any

import pytest

from securechat.server.config import GatewayConfig
from securechat.server.rules import bans as rules
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import WALL_S, Client, RunningRelay, commands

HERE, THERE = "192.0.2.7", "198.51.100.7"
SPAM = "You are banned from this relay: no spam"
PUT_OFF = f"ERROR :Closing link: {SPAM}"
CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    return with_operator(start_relay)


@pytest.fixture
def root(relay: RunningRelay) -> Client:
    return as_operator(relay.join("root"))


def register(client: Client, nick: str) -> list[str]:
    client.send(f"NICK {nick}", f"USER {nick} 0 * :Real {nick}", "CAP END")
    return client.read_to_end()


# ---- KLINE ----


def test_kline(relay: RunningRelay, root: Client, caplog: pytest.LogCaptureFixture) -> None:
    """ERR_YOUREBANNEDCREEP: "Returned to indicate that the server has been configured to explicitly
    deny connections from this client. The text used in the last param (…) typically also contains
    the reason for the ban"."""
    spammer, bob, chief = relay.join("spam1"), relay.join("bob"), as_operator(relay.join("chief"))
    for client in (spammer, bob):
        client.ask("JOIN #a")
    bob.sync()
    told = "K-line of root: spam*!*@*, without an end; 1 device put off: no spam"
    spammer.sync()
    assert root.ask("KLINE spam* :no spam") == [f"NOTICE root :{told}"]
    assert chief.seen() == [f"NOTICE chief :{told}"]
    assert spammer.read_to_end() == [f"465 spam1 :{SPAM}", PUT_OFF]
    assert bob.seen() == [":spam1 QUIT Banned"]
    assert register(relay.connect(), "Spam2") == [f"465 Spam2 :{SPAM}", PUT_OFF]
    assert bob.ask("NICK spam3") == ["432 bob spam3 :A ban covers this nickname"]
    assert "K-line spam*!*@* by root without an end: 1 devices there" in caplog.text
    assert root.ask("UNKLINE spam*") == ["NOTICE root :K-line ended by root: spam*!*@*"]
    relay.join("spam2")


def test_a_ban_covers_the_address_and_the_cloak(relay: RunningRelay, root: Client) -> None:
    for host in (HERE, "192.0.2.*", ""):
        ann, bob = relay.join("ann", address=HERE), relay.join("bob", address=THERE)
        root.ask(f"KLINE *@{host or relay.session('ann').host} :no spam")
        assert ann.read_to_end()[-1] == PUT_OFF
        assert register(relay.connect(address=HERE), "ann")[-1] == PUT_OFF
        assert bob.seen() == []
        bob.quit()
        (line, _) = root.ask("KLINE")
        root.ask(f"UNKLINE {line.split(' ')[3]}")


def test_every_device_is_put_off(relay: RunningRelay, root: Client) -> None:
    desk = relay.account("ann")
    phone = relay.login("ann")
    root.ask("KLINE ann :no spam")
    for device in (desk, phone):
        assert device.read_to_end()[-2:] == [f"465 ann :{SPAM}", PUT_OFF]
    client = relay.connect()
    client.request("sasl")
    assert "903" in commands(client.authenticate_plain("ann"))
    assert register(client, "ann")[-1] == PUT_OFF


def test_operators_are_spared(relay: RunningRelay, root: Client) -> None:
    chief = as_operator(relay.join("chief"))
    chief.sync()
    root.ask("KLINE chief :no spam")
    assert commands(chief.seen()) == ["NOTICE"]
    assert root.ask("KLINE root :x") == ["FAIL KLINE BANS_YOU root!*@* :This would ban you too"]


LOOPBACK = "loopback cannot be banned: whoever runs the relay must get in"
NO_ADDRESS = "this is neither an IP address nor a network like 192.0.2.0/24"
TOO_LONG = "a ban lasts for 100 years at most; without a duration it has no end"


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("KLINE *@*", "INVALID_MASK *@*", "*!*@* would ban everybody"),
        ("KLINE 1h *@* :x", "INVALID_MASK 1h", "*!*@* would ban everybody"),
        ("KLINE :a b", "INVALID_MASK *", "a mask has no spaces: nick!user@host, with * and ?"),
        ("KLINE 101y x :y", "INVALID_MASK 101y", TOO_LONG),
        ("UNKLINE x", "NO_SUCH_BAN x!*@*", "There is no such ban"),
        ("UNDLINE 192.0.2.1", "NO_SUCH_BAN 192.0.2.1", "There is no such ban"),
        (
            "DLINE 0.0.0.0/0",
            "INVALID_MASK 0.0.0.0/0",
            "0.0.0.0/0 would ban too many: /8 is the widest",
        ),
        ("DLINE 127.0.0.1", "INVALID_MASK 127.0.0.1", LOOPBACK),
        ("UNDLINE x", "INVALID_MASK x", NO_ADDRESS),
    ],
)
def test_refused(root: Client, line: str, code: str, text: str) -> None:
    assert root.ask(line) == [f"FAIL {line.split(' ')[0]} {code} :{text}"]


def test_too_few_parameters(root: Client) -> None:
    assert root.ask("UNKLINE", "UNDLINE") == [
        "461 root UNKLINE :Not enough parameters",
        "461 root UNDLINE :Not enough parameters",
    ]


def test_only_operators(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    lines = ("KLINE x", "KLINE", "UNKLINE x", "DLINE x", "DLINE", "UNDLINE x", "STATS k", "STATS D")
    assert commands(ann.ask(*lines)) == ["481"] * len(lines)


def test_there_is_a_limit(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BANS_MOST", {"K": 1, "D": 1})
    root.ask("KLINE x", "DLINE 192.0.2.1")
    text = "There are as many bans as there may be: end some first"
    assert root.ask("KLINE y", "DLINE 192.0.2.2") == [
        f"FAIL KLINE TOO_MANY_BANS y!*@* :{text}",
        f"FAIL DLINE TOO_MANY_BANS 192.0.2.2 :{text}",
    ]
    assert commands(root.ask("KLINE X :again", "DLINE 192.0.2.1 :again")) == ["NOTICE"] * 2


# ---- how long, and the list ----


def test_a_ban_ends(start_relay: StartRelay) -> None:
    now_s = [WALL_S]
    relay = with_operator(start_relay, wall_clock=lambda: now_s[0])
    root = as_operator(relay.join("root"))
    root.ask("KLINE 1h30m spam no spam here", f"DLINE 10 {HERE}", "KLINE x!*@*")
    listed = [
        "216 root K spam!*@* * root :until 2023-11-14 23:43:20 UTC: no spam here",
        "216 root K x!*@* * root :without an end: No reason was given",
    ]
    assert root.ask("KLINE") == [*listed, "219 root K :End of /KLINE list"]
    assert root.ask("STATS k") == [*listed, "219 root k :End of /STATS report"]
    ended = f"225 root D {HERE} * root :until 2023-11-14 22:23:20 UTC: No reason was given"
    assert root.ask("DLINE") == [ended, "219 root D :End of /DLINE list"]
    assert root.ask("STATS D") == [ended, "219 root D :End of /STATS report"]
    assert register(relay.connect(), "spam")[-1].endswith("no spam here")
    assert relay.connect_from(HERE).recv(1) == b""
    now_s[0] += 600
    relay.join("ann", address=HERE)
    assert commands(root.ask("DLINE", "KLINE")) == ["219", "216", "216", "219"]
    now_s[0] += 4_800
    relay.join("spam")
    assert root.ask("KLINE") == [listed[1], "219 root K :End of /KLINE list"]


def test_a_long_list_comes_in_pieces(relay: RunningRelay, root: Client) -> None:
    root.ask(*(f"DLINE 2001:db8::{number:x}" for number in range(1, 301)))
    found = root.ask("DLINE")
    assert commands(found) == ["225"] * 300 + ["219"]


def test_bans_outlast_the_relay(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    as_operator(relay.join("root")).ask("KLINE spam :no spam", f"DLINE 1h {HERE} :no spam")
    relay.stop()
    again = with_operator(start_relay)
    assert register(again.connect(), "spam")[-1] == PUT_OFF
    assert again.connect_from(HERE).recv(1) == b""


# ---- DLINE ----


def test_dline(relay: RunningRelay, root: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is banned gets no handshake at all."""
    ann, bob = relay.join("ann", address=HERE), relay.join("bob", address=THERE)
    early = relay.connect(address=HERE)
    assert root.ask("DLINE 192.0.2.0/24 :no spam") == [
        "NOTICE root :D-line of root: 192.0.2.0/24, without an end; 1 device put off: no spam"
    ]
    assert ann.read_to_end() == [f"465 ann :{SPAM}", PUT_OFF]
    assert register(early, "early") == [f"465 early :{SPAM}", PUT_OFF]
    assert relay.connect_from("192.0.2.99").recv(1) == b""
    assert relay.connect_from("::ffff:192.0.2.99").recv(1) == b""
    assert "refused 192.0.2.99: banned" in caplog.text
    relay.join("carol")
    assert bob.seen() == []
    root.ask("UNDLINE 192.0.2.7/24")
    relay.join("ann", address=HERE)


def test_an_operator_does_not_ban_themselves(relay: RunningRelay) -> None:
    root = as_operator(relay.join("root", address=HERE))
    answer = "FAIL DLINE BANS_YOU 192.0.2.0/24 :This would ban you too"
    assert root.ask("DLINE 192.0.2.0/24") == [answer]


# ---- web gateways ----


@pytest.fixture
def web(start_relay: StartRelay) -> Any:
    kiwi = GatewayConfig("kiwi", hash_password("secret", CHEAP), (f"{THERE}/32",), "")
    return with_operator(start_relay, webirc=(kiwi,))


def test_whom_a_gateway_names_may_be_banned(web: RunningRelay) -> None:
    root = as_operator(web.join("root"))

    def come(nick: str, address: str) -> Client:
        client = web.connect(address=THERE)
        client.send(f"WEBIRC secret kiwi host {address}")
        return client

    ann = come("ann", HERE).register("ann")
    bob = come("bob", "192.0.2.8").register("bob")
    root.ask(f"DLINE {HERE} :no spam")
    assert ann.read_to_end()[-1] == PUT_OFF
    assert bob.seen() == []
    assert come("ann", HERE).read_to_end() == [PUT_OFF]


def test_the_gateway_itself_is_not_banned(web: RunningRelay) -> None:
    root = as_operator(web.join("root"))
    for network in (THERE, "198.51.0.0/16"):
        text = "The gateway kiwi connects from there; ban its people's addresses"
        assert root.ask(f"DLINE {network}") == [f"FAIL DLINE BANS_GATEWAY {network} :{text}"]
    web.join("ann", address=THERE)


def test_help_tells_of_durations(root: Client) -> None:
    assert any("1y2mo3w4d5h6m7s" in line for line in root.ask("HELP KLINE"))
