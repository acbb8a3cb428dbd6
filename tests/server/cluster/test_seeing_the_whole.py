"""What people and operators see of several relays."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from securechat import __version__
from securechat.irc.isupport import Isupport
from securechat.irc.message import Message
from securechat.server.administration import status
from securechat.server.administration.console import run_tool
from securechat.server.cluster.nats_values import Link
from securechat.server.telemetry.cluster_figures import ClusterFigures, cluster_figures
from tests.server.administration.command_line import parse
from tests.server.cluster.cluster_harness import Relays, log_of, replies
from tests.server.relay_harness import Client, FakeClock, RunningRelay, commands, short
from tests.server.telemetry.test_exporter import LISTEN, Metrics, get
from tests.server.waiting import until

TOKEN = "securechat/RELAYS"
A, B = "a.test:6697", "b.test:6697"


def announced(client: Client) -> str:
    """Return the relays that the client was told of last."""
    found = Isupport()
    for line in client.lines:
        message = Message.parse(line.decode())
        if message.command == "005":
            found.update(message.params[1:-1])
    return found.get(TOKEN, "none")


def ask(client: Client, line: str) -> list[str]:
    """Return the answers as short lines, without the name of the relay."""
    return [re.sub(r"^:[ab]\.test ", "", found) for found in replies(client, line)]


def pass_time_until_kept(relays: Relays, clock: FakeClock, keeper: RunningRelay) -> None:
    """Have time pass until a relay writes the state, and has said up to where."""

    def kept() -> bool:
        relays.pass_time(clock, 1)
        return cluster_of(keeper).keeper

    until(kept, "nobody writes the state")
    relays.pass_time(clock, 2)


# ---- users ----


def test_lusers(relays: Relays) -> None:
    """RPL_LUSERME: "the number of clients and other servers connected to this server";
    RPL_LOCALUSERS: "the number of clients currently and the maximum number of clients that have
    been connected directly to this server"; RPL_GLOBALUSERS: "globally (directly and through other
    server links)"."""
    a, b = relays.start("a"), relays.start("b")
    ann, carl = a.join("ann"), b.join("carl")
    bob = a.account("bob")
    a.login("bob", "sasl")
    b.login("bob", "sasl")
    a.join("dora").quit()
    a.connect().ask("NICK waiting")
    relays.settle()
    assert ask(ann, "LUSERS") == [
        "251 ann :There are 3 users and 0 invisible on 2 servers",
        "252 ann 0 :operator(s) online",
        "253 ann 1 :unknown connection(s)",
        "254 ann 0 :channels formed",
        "255 ann :I have 2 clients and 1 servers",
        "265 ann 2 3 :Current local users 2, max 3",
        "266 ann 3 4 :Current global users 3, max 4",
    ]
    assert ask(carl, "LUSERS")[-3] == "255 carl :I have 2 clients and 1 servers"
    bob.quit()
    assert "255 ann :I have 2 clients and 1 servers" in ask(ann, "LUSERS"), "one device of two"


def test_where_somebody_is(relays: Relays) -> None:
    """RPL_WHOISSERVER: "shows which server the client with the nickname <nick> is (or was)
    connected to." RPL_WHOREPLY: "<server> is the name of the server the client is connected to."
    """
    a, b = relays.start("a"), relays.start("b")
    ann, bob = a.join("ann"), b.account("bob")
    bob.ask("SET always-on on")
    relays.settle()
    assert f"312 ann bob b {B}" in ask(ann, "WHOIS bob")
    assert "671 ann bob :is using a secure connection" in ask(ann, "WHOIS bob")
    assert "312 ann ann a.test :A private chat" in ask(ann, "WHOIS ann")
    assert ask(ann, "WHO bob")[0].split()[5] == "b"
    assert ask(ann, "WHO ann")[0].split()[5] == "a.test"
    assert ask(ann, "WHO * %sn") == [
        "354 ann a.test ann",
        "354 ann b bob",
        "315 ann * :End of WHO list",
    ]
    assert ask(ann, "WHO b s%n")[0] == "354 ann bob"
    assert commands(ask(ann, "WHOIS b bob"))[0] == "311"
    assert ask(ann, "TIME b")[0].startswith("391 ann a.test ")
    assert commands(ask(ann, "TIME elsewhere")) == ["402"]
    later = a.login("bob", "sasl")
    assert "312 ann bob a.test :A private chat" in ask(ann, "WHOIS bob"), "the latest session"
    for client in (later, bob):
        client.quit()
    relays.settle()
    assert "312 ann bob a.test :A private chat" in ask(ann, "WHOIS bob"), "who is nowhere is here"
    relays.stop("b")
    until(lambda: "b" not in a.relay.services.network.relays, "b is still there")
    assert commands(ask(ann, "WHOIS b bob"))[0] == "402"


def test_links_and_map(relays: Relays) -> None:
    """ "With LINKS, a user can list all servers which are known by the server answering the query,
    usually including the server itself." "<server1> and <server2> are linked together"; "<server2>
    is the closest to the client." """
    a = relays.start("a")
    relays.start("b")
    relays.start("c", cluster={"address": ""})
    ann = a.join("ann")
    assert ask(ann, "LINKS") == [
        "364 ann a.test a.test :0 A private chat",
        f"364 ann b a.test :1 {B}",
        "364 ann c a.test :1 TestNet",
        "365 ann * :End of /LINKS list",
    ]
    assert ask(ann, "MAP") == [
        "015 ann a.test",
        "015 ann :|- b",
        "015 ann :`- c",
        "017 ann :End of /MAP",
    ]
    a.relay.reload()
    assert announced(a.join("bob")) == f"{A},{B}", "it stays with a reload"


def test_the_addresses_of_the_relays(relays: Relays, time_of_relays: FakeClock) -> None:
    """The relay that says it comes first; clients are told anew when relays come and go, at most
    once a second."""
    a = relays.start("a")
    relays.pass_time(time_of_relays, 1)  # else it looks for the first time at any moment
    ann = a.join("ann")
    assert announced(ann) == A
    b = relays.start("b")
    relays.start("c", cluster={"address": ""})
    assert announced(b.join("bob")) == f"{B},{A}"
    relays.settle()
    ann.sync()
    assert announced(ann) == A, "a second has not passed"
    relays.pass_time(time_of_relays, 1)
    (news,) = ann.collect()
    assert news.params[1:-1] == (f"{TOKEN}={A},{B}",)
    relays.stop("b")
    until(lambda: "b" not in a.relay.services.network.relays, "b is still there")
    relays.pass_time(time_of_relays, 1)
    ann.sync()
    assert announced(ann) == A


def test_a_relay_that_is_lost(relays: Relays) -> None:
    """ "When a netsplit occurs, the server MUST put all resulting QUITs into a single `netsplit`
    batch." """
    a, b = relays.start("a"), relays.start("b")
    ann = a.join("ann", "batch")
    ann.ask("JOIN #room")
    for nick in ("bob", "carl"):
        b.join(nick).ask("JOIN #room")
    ann.sync()
    relays.kill("b")
    relays.start("b")
    start = ann.expect("BATCH")
    reference = start.params[0][1:]
    assert start.params[1:] == ("netsplit", "a.test", "b")
    quits = [ann.read(), ann.read()]
    assert {short(message) for message in quits} == {
        ":bob QUIT :b: It has started again",
        ":carl QUIT :b: It has started again",
    }
    assert {message.tags["batch"] for message in quits} == {reference}
    assert ann.read().params == (f"-{reference}",)


# ---- the log ----


def test_relays_that_come_and_go_are_in_the_log(
    relays: Relays, time_of_relays: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    relays.start("a")
    b = relays.start("b")
    relays.pass_time(time_of_relays, 1)
    relays.stop("a")
    until(lambda: "a" not in b.relay.services.network.relays, "a is still there")
    relays.pass_time(time_of_relays, 1)
    said = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert (logging.INFO, "relay b has come; relays: 2, the keeper is a") in said
    gone = "relay a is gone (is stopping); relays: 1, the keeper is b"
    assert (logging.WARNING, gone) in said
    assert len([text for _, text in said if " the keeper is " in text]) <= 3, "once at each relay"


# ---- operators ----


def cluster_of(relay: RunningRelay) -> ClusterFigures:
    found = cluster_figures(relay.relay.services)
    assert found is not None
    return found


def test_the_figures(relays: Relays, time_of_relays: FakeClock) -> None:
    a = relays.start("a", metrics=LISTEN)
    b = relays.start("b", metrics=LISTEN, cluster={"address": ""})
    ann, bob = a.join("ann"), b.join("bob")
    for client in (ann, bob):
        client.ask("JOIN #room")
    relays.catch_up()  # else what is said may be published twice: a relay has come to need it
    ann.send("PRIVMSG #room :hello")
    bob.expect("PRIVMSG")
    relays.settle()
    begun = time_of_relays.now
    pass_time_until_kept(relays, time_of_relays, a)
    time_of_relays.now += 0.25
    of_a, of_b = cluster_of(a), cluster_of(b)
    assert (of_a.relay, of_a.incarnation, of_b.relay, of_b.incarnation) == ("a", 1, "b", 2)
    assert (of_a.keeper, of_b.keeper) == (True, False)
    assert of_a.event == of_b.event == log_of(a).standing.applied
    assert of_a.taken == of_a.event, "all, since it was the first"
    assert 0 < of_a.returns.count < of_a.taken
    assert of_a.on_their_way == of_a.repeated == 0
    assert (of_a.history_event, of_a.state_event) == (of_a.event, of_a.event)
    assert (of_a.snapshot_event, of_a.snapshot_age_s) == (0, time_of_relays.now - begun)
    assert (of_b.spare_entries, of_b.held_writes) == (0, 0), "a has written it"
    assert of_a.problems == []
    own, other = of_a.relays
    assert (own.name, own.own, own.keeper, own.lag, own.heard_s) == ("a", True, True, 0, 0.0)
    assert (other.name, other.own, other.keeper) == ("b", False, False)
    assert (own.address, other.address) == (A, "")
    assert (other.sessions, other.lag, other.heard_s) == (1, 0, 0.25)
    assert (other.version, other.cut_off) == (__version__, "")

    metrics, of_others = Metrics(a), Metrics(b)
    assert metrics("users") == of_others("users") == metrics("cluster_relays") == 2
    assert metrics("cluster_isolated") == of_others("cluster_isolated") == 0
    assert (metrics("cluster_keeper"), of_others("cluster_keeper")) == (1, 0)
    assert metrics("cluster_event") == metrics("cluster_events_applied_total") == of_a.event
    assert metrics("cluster_return_seconds_count") == of_a.returns.count
    assert metrics("cluster_neighbour_lag_events", relay="b") == 0
    assert metrics("cluster_neighbour_silence_seconds", relay="b") == 0.25
    assert metrics("cluster_snapshot_events") == of_a.event
    assert metrics("cluster_snapshot_age_seconds") == of_a.snapshot_age_s
    told = [name for name, _ in of_others.samples if "snapshot" in name or "state" in name]
    assert told == [], "the keeper tells"


def test_what_is_not_written_yet_is_held(relays: Relays, time_of_relays: FakeClock) -> None:
    a, b = relays.start("a"), relays.start("b")
    ann, bob = a.account("ann"), b.join("bob")
    for client in (ann, bob):
        client.ask("JOIN #room")
    ann.send("ROOM CLAIM #room", "PRIVMSG #room :hello")
    bob.expect("PRIVMSG")
    relays.settle()
    of_a, of_b = cluster_of(a), cluster_of(b)
    assert of_b.spare_entries > 0
    assert of_a.held_writes == of_b.held_writes > 0, "a has not begun to write"
    assert of_a.state_event == of_b.state_event < of_a.event
    assert of_a.history_event < of_a.event


def test_who_is_cut_off_is_not_well(relays: Relays) -> None:
    relay = relays.start("a", metrics=LISTEN)
    assert get(relay, "/healthz") == (200, "ok\n")
    log_of(relay)._take_link(Link(False, "NATS cannot be reached"))
    text = "This relay is cut off from the others: NATS cannot be reached"
    assert get(relay, "/healthz") == (503, f"{text}\n")
    assert Metrics(relay)("cluster_isolated") == 1
    assert cluster_of(relay).problems == [text]
    assert relay.relay.services.health.problems() == [], "systemd need not restart it"
    log_of(relay)._take_link(Link(True, ""))
    assert get(relay, "/healthz") == (200, "ok\n")


def told(relay: RunningRelay, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    options = parse(status.TOOLS, "status", *words)
    assert run_tool(options.tool, options, relay.config) == 0
    return capsys.readouterr().out


def test_status(
    relays: Relays, time_of_relays: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (relays.start(name) for name in "ab")
    a.join("ann")
    relays.settle()
    relays.pass_time(time_of_relays, 1)
    text = told(b, capsys)
    event = log_of(b).standing.applied
    for line in (
        "one of       2 relays, as b, incarnation 2",
        f"events       {event} is the last, 0 of its own on their way",
        f"relay a      {A}, since ",
        f"relay b      {B}, since ",
        ", the keeper, 1 devices, 0 events behind, ",
        "database     postgresql://",
    ):
        assert line in text
    found: Any = json.loads(told(b, capsys, "--json", "--digest"))
    assert found["cluster"]["relays"][0]["keeper"] is True
    assert found["state"] == {"event": event, "digest": relays.digests().pop()}
    assert "state" not in json.loads(told(b, capsys, "--json"))
    log_of(b)._take_link(Link(False, "NATS cannot be reached"))
    assert "cut off from the others: NATS cannot be reached" in told(b, capsys)
