"""LUSERS, MOTD, VERSION, ISUPPORT, ADMIN, TIME, STATS, INFO."""

from __future__ import annotations

import pytest

from securechat.irc.isupport import TOKENS_PER_LINE
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, NETWORK, WALL_S, RunningRelay, commands, short

SIGNON = int(WALL_S)


def test_lusers(relay: RunningRelay) -> None:
    """ "Servers MUST reply with RPL_LUSERCLIENT and RPL_LUSERME, and SHOULD also include all those
    defined below." """
    ann, bob = together(relay, "ann", "bob")
    bob.ask("MODE bob +i")
    relay.connect().ask("NICK waiting")
    relay.join("carl").quit()
    assert ann.ask("LUSERS") == [
        "251 ann :There are 1 users and 1 invisible on 1 servers",
        "252 ann 0 :operator(s) online",
        "253 ann 1 :unknown connection(s)",
        "254 ann 1 :channels formed",
        "255 ann :I have 2 clients and 0 servers",
        "265 ann 2 3 :Current local users 2, max 3",
        "266 ann 2 3 :Current global users 2, max 3",
    ]


def test_motd(start_relay: StartRelay) -> None:
    """ "one RPL_MOTDSTART numeric is returned, followed by one or more RPL_MOTD numeric, then one
    RPL_ENDOFMOTD numeric." """
    relay = start_relay(server={"motd": "Welcome!\n\n  be kind\n" + "é" * 400})
    ann = relay.join("ann")
    found = ann.ask("MOTD")
    assert found[:4] == [
        f"375 ann :- {NAME} message of the day -",
        "372 ann :- Welcome!",
        "372 ann :- ",
        "372 ann :-   be kind",
    ]
    assert found[4].startswith("372 ann :- éééé")
    assert found[5:] == ["376 ann :End of /MOTD command"]
    assert max(map(len, ann.lines)) <= 510
    assert ann.ask(f"MOTD {NAME}") == found
    assert ann.ask("MOTD elsewhere") == ["402 ann elsewhere :No such server"]


def test_no_motd(relay: RunningRelay) -> None:
    """ "If the MOTD does not exist or could not be found, the ERR_NOMOTD numeric is returned." """
    assert relay.join("ann").ask("MOTD") == ["422 ann :There is no message of the day"]


def test_version(relay: RunningRelay) -> None:
    """ "the given server SHOULD respond with one RPL_VERSION reply and one or more RPL_ISUPPORT
    replies." "Wildcards are allowed in the <target> parameter." """
    ann = relay.join("ann")
    for line in ("VERSION", f"VERSION {NAME}", "VERSION *.test", "VERSION ann"):
        found = ann.collect(line)
        assert [message.command for message in found] == ["351", "005", "005", "005"]
        assert found[0].params[1].startswith("securechat-")
        assert found[0].params[2] == NAME
        assert len(found[1].params) <= TOKENS_PER_LINE + 2
    assert ann.ask("VERSION elsewhere") == ["402 ann elsewhere :No such server"]


def test_time(relay: RunningRelay) -> None:
    """RPL_TIME: "<client> <server> [<timestamp> [<TS offset>]] :<human-readable time>" """
    ann = relay.join("ann")
    text = "Tuesday November 14 2023 -- 22:13:20 UTC"
    assert ann.ask("TIME") == [f"391 ann {NAME} {SIGNON} :{text}"]
    assert ann.ask("TIME elsewhere") == ["402 ann elsewhere :No such server"]


def test_info(relay: RunningRelay) -> None:
    """ "zero or more RPL_INFO replies, followed by one RPL_ENDOFINFO numeric." """
    found = relay.join("ann").ask("INFO")
    assert commands(found) == ["371", "371", "371", "374"]
    assert "Running since 2023-11-14 22:13:20 UTC" in found[2]


# ---- ADMIN, STATS ----


def test_admin(start_relay: StartRelay) -> None:
    """ "the given server SHOULD respond with the RPL_ADMINME, RPL_ADMINLOC1, RPL_ADMINLOC2, and
    RPL_ADMINEMAIL replies"; the last "MUST contain the email address"."""
    relay = start_relay(server={"admin": "Bern\nAnn and Bob\nann@example.org\n"})
    ann = relay.join("ann")
    found = [
        f"256 ann {NAME} :Administrative info",
        "257 ann Bern",
        "258 ann :Ann and Bob",
        "259 ann ann@example.org",
    ]
    for line in ("ADMIN", f"ADMIN {NAME}", "ADMIN *.test", "ADMIN ann"):
        assert ann.ask(line) == found
    assert ann.ask("ADMIN elsewhere") == ["402 ann elsewhere :No such server"]


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("ann@example.org", ["257 ann :A private chat", f"258 ann {NETWORK}"]),
        ("Bern\nann@example.org", ["257 ann Bern", "258 ann :A private chat"]),
    ],
)
def test_admin_in_short(start_relay: StartRelay, setting: str, found: list[str]) -> None:
    ann = start_relay(server={"admin": setting}).join("ann")
    assert ann.ask("ADMIN")[1:] == [*found, "259 ann ann@example.org"]


def test_no_admin(relay: RunningRelay) -> None:
    """ERR_NOADMININFO of RFC 2812: "<server> :No administrative info available"."""
    ann = relay.join("ann")
    assert ann.ask("ADMIN") == [f"423 ann {NAME} :No administrative info available"]


def test_stats(start_relay: StartRelay) -> None:
    """ "u - returns a string showing how long the server has been up"; RPL_STATSUPTIME: "Server Up
    <days> days <hours>:<minutes>:<seconds>" """
    now = [WALL_S]
    ann = start_relay(wall_clock=lambda: now[0]).join("ann")
    now[0] += 2 * 86_400 + 3 * 3_600 + 4 * 60 + 5
    assert (
        ann.ask("STATS u", f"STATS u {NAME}")
        == [
            "242 ann :Server Up 2 days 3:04:05",
            "219 ann u :End of /STATS report",
        ]
        * 2
    )
    assert ann.ask("STATS x", "STATS :a b") == [
        "219 ann x :End of /STATS report",
        "219 ann * :End of /STATS report",
    ]
    assert ann.ask("STATS") == ["461 ann STATS :Not enough parameters"]
    assert ann.ask("STATS u elsewhere") == ["402 ann elsewhere :No such server"]


# ---- ISUPPORT ----


def test_isupport_command(relay: RunningRelay) -> None:
    """ "the server MUST reply with one or more RPL_ISUPPORT messages" """
    ann = relay.join("ann")
    found = ann.ask("ISUPPORT")
    assert set(commands(found)) == {"005"}
    assert ann.ask("VERSION")[1:] == found


def test_isupport_before_registration(relay: RunningRelay) -> None:
    """ "the server MUST accept ISUPPORT commands before connection registration completes" of a
    client that has the capability."""
    client = relay.connect()
    assert client.ask("ISUPPORT") == ["451 * :You have not registered"]
    client.request("draft/extended-isupport")
    found = client.ask("ISUPPORT")
    assert set(commands(found)) == {"005"}
    assert all(line.startswith("005 * ") for line in found)
    client.send("NICK ann", "USER ann 0 * :Ann", "CAP END")
    client.expect("001")
    assert "005" in commands(client.seen())


@pytest.mark.parametrize("names", [("batch",), ("draft/extended-isupport",)])
def test_no_batch_without_both_capabilities(relay: RunningRelay, names: tuple[str, ...]) -> None:
    """ "when the batch and draft/extended-isupport capabilities are enabled" """
    ann = relay.join("ann", *names)
    assert set(commands(ann.ask("ISUPPORT"))) == {"005"}


@pytest.mark.parametrize("when", ["before", "after", "at"])
def test_isupport_batch(relay: RunningRelay, when: str) -> None:
    """ "The server MUST group all RPL_ISUPPORT messages inside a draft/isupport batch"; "The batch
    MUST only contain one or more RPL_ISUPPORT messages"."""
    ann = relay.connect()
    ann.request("batch", "draft/extended-isupport")
    if when == "before":
        found = ann.collect("ISUPPORT")
    else:
        ann.send("NICK ann", "USER ann 0 * :Ann", "CAP END")
        found = ann.sync()
        if when == "after":
            found = ann.collect("VERSION")[1:]
    batch = [message for message in found if message.command in ("BATCH", "005")]
    start, *lines, end = batch
    assert start.params[0].startswith("+")
    assert start.params[1:] == ("draft/isupport",)
    reference = start.params[0][1:]
    assert {message.command for message in lines} == {"005"}
    assert {message.tags.get("batch") for message in lines} == {reference}
    assert short(end) == f"BATCH -{reference}"
    at = found.index(start)
    assert found[at : at + len(batch)] == batch
    assert not any("batch" in message.tags for message in found if message not in lines)


def test_the_icon(start_relay: StartRelay) -> None:
    """ "If a server publishes a draft/ICON ISUPPORT token, the value MUST be a URL to an image."

    In 005 an equals sign in a value is escaped."""
    ann = start_relay(server={"icon_url": "https://example.org/icon.svg?a=b"}).join("ann")
    tokens = [token for message in ann.collect("ISUPPORT") for token in message.params[1:-1]]
    assert r"draft/ICON=https://example.org/icon.svg?a\x3Db" in tokens
