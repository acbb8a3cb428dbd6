"""NATS or PostgreSQL is away, and comes back: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from securechat.irc.message import Message
from securechat.server.cluster import nats_stream
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of, replies
from tests.server.relay_harness import Client, RunningRelay
from tests.server.waiting import until
from tests.services.nats import NatsCluster
from tests.services.postgres import PostgresServer

CAPS = "echo-message", "labeled-response", "batch", "message-tags", "standard-replies"


def cut_off(*relays: RunningRelay) -> Callable[[], bool]:
    return lambda: all(log_of(relay).standing.cut_off for relay in relays)


def together(*relays: RunningRelay) -> Callable[[], bool]:
    return lambda: not any(log_of(relay).standing.cut_off for relay in relays)


def tries(relay: RunningRelay) -> int:
    """Return how often a relay has tried to connect to NATS again."""
    client = cluster_of(relay)._stream._client
    return sum(each.reconnects for each in client._server_pool)


def kept(server: PostgresServer, url: str) -> Counter[str]:
    """Return how often each text is in the history."""
    with server.connect(url.rpartition("search_path%3D")[2]) as connection:
        rows = connection.execute("SELECT text FROM messages WHERE kind = 'PRIVMSG'").fetchall()
    return Counter(text for (text,) in rows)


def meet(relays: Relays, *caps: str) -> tuple[RunningRelay, RunningRelay, Client, Client]:
    """Start two relays, with alice on one, bob on the other, both in #room."""
    a, b = relays.start("a"), relays.start("b")
    alice, bob = a.join("alice", *caps), b.join("bob", *caps)
    alice.ask("JOIN #room")
    bob.ask("JOIN #room")
    relays.catch_up()
    alice.sync()
    return a, b, alice, bob


def hear_of(client: Client, heard: list[Message], command: str, text: str) -> Message:
    """Return the message, which has come, or comes; what comes before is kept in ``heard``."""
    while True:
        for message in heard:
            if message.command == command and text in message.params[-1]:
                return message
        heard.append(client.read())


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_nats_goes_and_comes_back(
    relays: Relays,
    nats: NatsCluster,
    postgres: PostgresServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    a, b, alice, bob = meet(relays, *CAPS)
    carol = b.join("carol")
    carol.ask("JOIN #room")
    relays.catch_up()
    nats.pause(0)
    alice.send("@label=flying PRIVMSG #room :in flight")  # before anybody knows
    until(lambda: log_of(a).standing.on_their_way > 0, "it is not on its way")
    monkeypatch.setattr(nats_stream, "_CUT_OFF_S", 1.0)
    if how == "kill":
        nats.kill(0)
    until(cut_off(a, b), "nobody notices")
    heard: list[Message] = []  # NATS may have taken it yet, or takes it first of all, or last
    hear_of(alice, heard, "NOTICE", "This relay is cut off from the others")
    answers = bob.collect("@label=no PRIVMSG #room :refused", "PRIVMSG #room :refused too")
    refused = [each for each in answers if each.command == "FAIL"]
    assert [each.params[:2] for each in refused] == [("*", "RELAY_ISOLATED")] * 2
    assert refused[0].tags["label"] == "no"
    assert replies(bob, "PING still") == [":b.test PONG b.test still"]
    carol.vanish()
    (nats.start if how == "kill" else nats.resume)(0)
    until(together(a, b), "they do not come together again")
    assert hear_of(alice, heard, "PRIVMSG", "in flight").tags["label"] == "flying"
    assert hear_of(alice, heard, "QUIT", "").nick == "carol"
    hear_of(alice, heard, "NOTICE", "This relay is one with the others again")
    hear_of(bob, answers, "PRIVMSG", "in flight")
    alice.send("@label=after PRIVMSG #room :after")
    assert alice.expect("PRIVMSG").tags["label"] == "after"
    assert bob.expect("PRIVMSG").params[1] == "after"
    relays.settle()
    assert [each.command for each in bob.sync()] in ([], ["NOTICE"])
    assert kept(postgres, postgres_url) == {"in flight": 1, "after": 1}


def test_a_relay_that_has_slept_for_longer_than_its_lease_joins_anew(relays: Relays) -> None:
    a, b, alice, bob = meet(relays)
    former = log_of(b).standing.incarnation
    services = b.relay.services
    with services.lock:  # so does the thread that would say how it does
        assert alice.expect("QUIT").params == ("b: is lost",)
        alice.ask("PRIVMSG #room :nobody hears")
    assert bob.read_to_end()[-1] == (
        "ERROR :Closing link: This relay was cut off from the others for too long; connect again"
    )
    until(lambda: log_of(b).standing.incarnation > former, "b does not join anew")
    assert log_of(a).standing.incarnation == 1, "nobody else is lost"
    bob = b.join("bob")
    bob.ask("JOIN #room")
    alice.send("PRIVMSG #room :again")
    assert bob.expect("PRIVMSG").params[1] == "again"
    relays.settle()


def test_while_nats_sleeps_nobody_is_taken_for_lost(relays: Relays, nats: NatsCluster) -> None:
    a, b, alice, bob = meet(relays)
    members = cluster_of(a).members
    nats.pause(0)
    clock = a.relay.services.clock
    slept = clock()
    until(lambda: members._looked - slept > relays.config("a").cluster.lease_s + 1, "a sleeps too")
    nats.resume(0)
    until(together(a, b), "they do not come together again")
    alice.send("PRIVMSG bob :still there?")
    assert bob.expect("PRIVMSG").params[1] == "still there?"
    relays.settle()
    assert {log_of(a).standing.incarnation, log_of(b).standing.incarnation} == {1, 2}


def test_a_server_that_answers_no_more_is_left_for_another(
    relays_on_three: Relays, nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_stream, "_PING_S", 0.5)
    client = cluster_of(relays_on_three.start("a"))._stream._client
    left = client.connected_url
    assert left is not None
    nats_cluster.pause([urlsplit(url).port for url in nats_cluster.urls].index(left.port))
    until(lambda: client.stats["reconnects"] > 0, "it waits for what does not answer")
    assert client.connected_url != left


def test_a_relay_stops_while_nats_does_not_answer(
    relays: Relays, nats: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_stream, "_PING_S", 0.5)
    a, b = relays.start("a"), relays.start("b")
    nats.pause(0)
    until(cut_off(a), "nobody notices")
    relays.stop("a")
    until(lambda: tries(b) > 1, "it does not try to connect again")
    relays.stop("b")


def test_people_talk_while_postgresql_is_away(
    relays: Relays, postgres: PostgresServer, postgres_url: str
) -> None:
    _, _, alice, bob = meet(relays, *CAPS)
    alice.send("@label=before PRIVMSG #room :before")
    assert alice.expect("PRIVMSG").tags["label"] == "before"
    bob.expect("PRIVMSG")
    postgres.stop()
    alice.send("@label=x PRIVMSG #room :meanwhile")
    assert bob.expect("PRIVMSG").params[1] == "meanwhile"
    bob.send("PRIVMSG #room :indeed")
    assert alice.expect("PRIVMSG").params[1] == "indeed", "what is acknowledged is kept"
    postgres.start()
    assert alice.expect("PRIVMSG").tags["label"] == "x"
    assert bob.expect("PRIVMSG").params[1] == "indeed"
    assert kept(postgres, postgres_url) == {"before": 1, "meanwhile": 1, "indeed": 1}
    relays.settle()


def test_the_keeper_changes_while_postgresql_is_away(
    relays: Relays, postgres: PostgresServer, postgres_url: str
) -> None:
    a, b = relays.start("a"), relays.start("b")
    until(lambda: cluster_of(a).state.is_keeper, "a does not become the keeper")
    owner = b.account("owner")
    owner.ask("JOIN #room", "TOPIC #room :old")
    relays.catch_up()
    postgres.stop()
    owner.ask("TOPIC #room :new", "METADATA * SET url :https://example.org")
    relays.kill("a")
    postgres.start()
    until(lambda: cluster_of(b).state.is_keeper, "b does not become the keeper")
    with postgres.connect(postgres_url.rpartition("search_path%3D")[2]) as connection:
        until(
            lambda: connection.execute("SELECT topic FROM rooms").fetchall() == [("new",)],
            "what was changed meanwhile is not written",
        )
