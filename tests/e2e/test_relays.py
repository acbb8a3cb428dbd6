"""Three relays that are killed and paused while hundreds of people talk: nothing is lost or twice.

``SECURECHAT_CHAOS_S`` says for how many seconds, ``SECURECHAT_CHAOS_SEED`` begins as another run
has. What is random is what is done; when it is done, is up to the machine.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.e2e.children import TIMEOUT_S
from tests.e2e.crowd import ROOMS, Crowd, Hearing
from tests.e2e.relay_children import LEASE_S, RelayChild, relay_children
from tests.server.relay_harness import PASSWORD, Client
from tests.services.nats import NatsCluster
from tests.services.postgres import PostgresServer

CHAOS_S = float(os.environ.get("SECURECHAT_CHAOS_S", "4"))
SEED = int(os.environ.get("SECURECHAT_CHAOS_SEED", "8")) or random.SystemRandom().randrange(1 << 30)
PEOPLE = int(os.environ.get("SECURECHAT_CHAOS_PEOPLE", "200"))
OWNERS = [f"owner{n}" for n in range(len(ROOMS))]
"""Accounts that have a room each, and two devices."""

KINDS = ("kill", "kill", "blink", "pause", "stop", "node", "store")
"""What is done: to relays, but for the last two. No server of NATS is paused: after that one of
2.9.10 may have another stream, for good (see ``ClusterLog.contradicts``)."""

PACE = 0.3
"""What each person does in a second."""


class Chaos:
    """Does to relays and what they use what happens to machines; undone by ``end``."""

    def __init__(
        self, relays: list[RelayChild], nats: NatsCluster, postgres: PostgresServer, seed: int
    ) -> None:
        self._relays = relays
        self._nats = nats
        self._postgres = postgres
        self._random = random.Random(seed)
        self._undo: list[tuple[float, Callable[[], None]]] = []
        self._down: set[str] = set()  # kinds of which there is one already
        self.done: Counter[str] = Counter()

    def go_on(self, now: float) -> None:
        """Undo what is due, then do something else to what is well."""
        for due in [each for each in self._undo if each[0] <= now]:
            self._undo.remove(due)
            due[1]()
        for relay in self._relays:
            if not relay.paused:
                relay.check()
        well = [relay for relay in self._relays if relay.listens]
        if len(well) < 2:
            return
        self._do(self._random.choice(well), now)

    def end(self) -> None:
        for _, undo in self._undo:
            undo()
        for relay in self._relays:
            relay.wait()

    def _do(self, relay: RelayChild, now: float) -> None:
        kind = self._random.choice(KINDS)
        if kind in self._down:
            return
        self.done[kind] += 1
        print(f"{now:.1f} {kind} {relay.name}")
        match kind:
            case "kill":
                relay.kill()
                self._undo.append((now + self._random.choice((0, 1, LEASE_S + 2)), relay.start))
            case "stop":
                assert relay.stop() == 0
                self._undo.append((now + 1, relay.start))
            case "blink":
                relay.pause()
                self._undo.append((now + 1.5, relay.resume))
            case "pause":
                relay.pause()
                self._undo.append((now + LEASE_S + 3, relay.resume))
            case "node":
                node = self._random.randrange(3)
                self._nats.kill(node)
                self._start_again(now + 3, kind, lambda: self._nats.start(node))
            case "store":
                self._postgres.stop(self._random.choice((signal.SIGINT, signal.SIGKILL)))
                due = now + self._random.choice((0, 2, 6))
                self._start_again(due, kind, self._postgres.start)

    def _start_again(self, due: float, kind: str, start: Callable[[], None]) -> None:
        def undo() -> None:
            start()
            self._down.discard(kind)

        self._down.add(kind)
        self._undo.append((due, undo))


def make_rooms(ca: Path, relay: RelayChild) -> None:
    """Have rooms that belong to somebody: they last, and their history, when nobody is there."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["irc"])
    for owner, room in zip(OWNERS, ROOMS, strict=True):
        raw = socket.create_connection(("127.0.0.1", relay.port), timeout=TIMEOUT_S)
        client = Client(context.wrap_socket(raw, server_hostname="localhost"))
        client.request("draft/account-registration")
        client.send(f"NICK {owner}", f"REGISTER * * :{PASSWORD}")
        client.expect("REGISTER", "SUCCESS")
        client.register(owner).ask(f"JOIN {room}")
        client.quit()


@pytest.mark.starts_first
def test_nothing_is_lost_or_twice_whatever_happens_to_machines(
    ca: Path,
    nats_cluster: NatsCluster,
    postgres: PostgresServer,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    print(f"SECURECHAT_CHAOS_SEED={SEED}")
    with relay_children("abc", ca, nats_cluster, postgres_url, tmp_path) as relays:
        ports = [relay.port for relay in relays]
        make_rooms(ca, relays[0])
        crowd = Crowd(str(ca), ports, PEOPLE, OWNERS, SEED, PACE)
        crowd.quiet = True
        crowd.start()
        try:
            wait_for(lambda: crowd.here == PEOPLE, crowd.absent)
            crowd.quiet = False
            chaos = Chaos(relays, nats_cluster, postgres, SEED)
            began = time.monotonic()
            while (now := time.monotonic() - began) < CHAOS_S:
                chaos.go_on(now)
                time.sleep(0.5)
            print(dict(chaos.done))
            chaos.end()
            crowd.quiet = True
            wait_for(lambda: crowd.here == PEOPLE, crowd.absent)
            wait_for(lambda: not crowd.waiting, lambda: "\n".join(crowd.waiting))
            states = agreed(relays)
            rows = read_history(postgres, postgres_url)
        finally:
            hearings = crowd.stop()
            for relay in relays:
                print(relay.complaints)
        assert len(states) == 1, states
        for relay in relays:
            assert relay.stop() == 0, relay.log
    check_hearings(hearings)
    check_history(hearings, rows)


def wait_for(condition: Callable[[], object], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(told())
        time.sleep(0.05)


def agreed(relays: list[RelayChild]) -> set[str]:
    """Return the digests of all relays when they agree, or what they are when it takes too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        for relay in relays:
            relay.check()
        told = [relay.status() for relay in relays]
        states = {each["state"]["digest"] for each in told}
        here = {len(each["cluster"]["relays"]) for each in told}
        if (len(states) == 1 and here == {len(relays)}) or time.monotonic() > deadline:
            return states


# ---- what must be ----


def check_hearings(hearings: Iterable[Hearing]) -> None:
    """Check that nobody has heard anything twice, and all in one order."""
    after: dict[str, set[str]] = defaultdict(set)
    for hearing in hearings:
        twice = [msgid for msgid, n in Counter(hearing.heard).items() if n > 1]
        assert not twice, f"{hearing.nick} has heard {twice} more than once"
        for one, next_one in zip(hearing.heard, hearing.heard[1:], strict=False):
            after[next_one].add(one)
    try:
        order = list(TopologicalSorter(after).static_order())
    except CycleError as error:
        pytest.fail(f"people have heard these in another order: {error.args[1]}")
    assert order, "nobody has heard anything"


def read_history(server: PostgresServer, url: str) -> list[tuple[int, str, str]]:
    """Return the messages that are kept in their order: the conversation, id and text of each."""
    with server.connect(url.rpartition("search_path%3D")[2]) as connection:
        return connection.execute(
            "SELECT conversation, msgid, text FROM messages"
            " JOIN conversations ON conversations.id = conversation"
            " WHERE kind = 'PRIVMSG' AND key IS NOT NULL ORDER BY messages.id"
        ).fetchall()


def check_history(hearings: list[Hearing], rows: list[tuple[int, str, str]]) -> None:
    """Check that all that was acknowledged is kept once, nothing twice, and nobody missed any."""
    kept: Counter[str] = Counter()
    by_room: dict[int, list[tuple[str, str]]] = defaultdict(list)  # room → id, text, in order
    for key, msgid, text in rows:
        kept[text] += 1
        by_room[key].append((msgid, text))
    said = [said for hearing in hearings for said in hearing.said.values()]
    print(
        f"{len(hearings)} connections, {len(said)} said, "
        f"{sum(each.acknowledged for each in said)} acknowledged, "
        f"{sum(bool(each.refused) for each in said)} refused, {len(rows)} kept"
    )
    in_rooms = {each.text for hearing in hearings for each in hearing.said.values()}
    twice = {text: n for text, n in kept.items() if n > 1}
    assert not twice, "kept more than once"
    assert kept.keys() <= in_rooms
    # What guests tell each other is not kept, nor what was said in a room that is no more.
    promised = [s for s in said if s.acknowledged and s.target.startswith("#room")]
    lost = [s.text for s in promised if not kept[s.text]]
    for hearing in hearings:
        if any(said.text in lost for said in hearing.said.values()):
            print(hearing.nick, hearing.relay, hearing.said, *hearing.lines, sep="\n  ")
    assert not lost, f"{len(lost)} were acknowledged and are not kept: {lost[:5]}"
    wrong = [s for s in said if s.refused and "NOT_KEPT" not in s.refused and kept[s.text]]
    assert not wrong, f"were refused, and are kept: {wrong[:5]}"
    places = {msgid: (key, n) for key, room in by_room.items() for n, (msgid, _) in enumerate(room)}
    for hearing in hearings:
        for room, heard in hearing.rooms.items():
            check_room(
                hearing, room, [msgid for msgid in heard if msgid in places], by_room, places
            )


def check_room(
    hearing: Hearing,
    room: str,
    heard: list[str],
    by_room: dict[int, list[tuple[str, str]]],
    places: dict[str, tuple[int, int]],
) -> None:
    """Check that one who was in a room has missed nothing from the first to the last they heard."""
    if not room.startswith("#room") or not heard:
        return
    key, first = places[heard[0]]
    _, last = places[heard[-1]]
    own = {said.text for said in hearing.said.values()}
    expected = [msgid for msgid, text in by_room[key][first : last + 1] if text not in own]
    missed = set(expected) - set(heard)
    assert not missed, f"{hearing.nick} has missed {missed} in {room}"
    assert heard == expected, f"{hearing.nick} has another order in {room} than the history"
