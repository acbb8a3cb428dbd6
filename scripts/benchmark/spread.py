"""People on all relays of one chat: what they say and do, and how long that takes."""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from benchmark.crew import share
from benchmark.crowd import TIME_DIGITS, Client, Crowd, LoadError, Target
from benchmark.pace import say, sayings, take

__all__ = ["CHANGES", "Loss", "Places", "Spoken", "Spread"]

AT_ONCE: Final = 16
"""Handshakes under way at a time."""

NUMBERS: Final = 20_000
"""Of each process, for its clients' nicks: they do not meet."""

CHANGES: Final = ("JOIN", "NICK", "PART", "NICK")
"""What changes the state of the chat, and back; who does it does one after the other."""

MEETING: Final = "#meeting"


@dataclass(frozen=True, slots=True)
class Places:
    """Rooms, and who is in them: ``members`` in each. Immutable.

    They are on all relays in turn, or all of a room on one (``local``). Each process has some of
    the rooms, with all who are in there.
    """

    rooms: int
    members: int
    local: bool = False

    def numbers(self, part: int, parts: int) -> range:
        """Return the rooms of one process."""
        return range(part, self.rooms, parts)

    def relay(self, room: int, member: int, relays: int) -> int:
        """Return the relay of a member of a room."""
        return (room + (0 if self.local else member)) % relays

    def deliveries(self, part: int, parts: int, messages: int) -> int:
        """Return how often messages are received in one process, of so many in all rooms."""
        spoken = share(messages, self.rooms)
        return sum(spoken[room] for room in self.numbers(part, parts)) * (self.members - 1)


@dataclass(slots=True)
class Spoken:
    """How it went. Times are of the monotonic clock, in nanoseconds; latencies of all receipts, on
    the speaker's own relay and on others, from when a message was to be sent.
    """

    ended_ns: int = 0
    within_ns: array[int] = field(default_factory=lambda: array("q"))
    across_ns: array[int] = field(default_factory=lambda: array("q"))
    late_ns: array[int] = field(default_factory=lambda: array("q"))


class Loss(NamedTuple):
    """What came of a relay that was killed: when each of its people was gone for the others, and
    when each had joined a room on another relay. By the monotonic clock, in nanoseconds.
    """

    gone_ns: list[int]
    back_ns: list[int]


class _People(Crowd):
    """Clients of several relays, each of which has a number. A message says that of its speaker's
    after the time. Owned by one thread.
    """

    def __init__(self, targets: Sequence[Target], prefix: str, first: int) -> None:
        super().__init__(targets[0], prefix, first)
        self.targets = targets
        self.homes: dict[Client, int] = {}
        self.strange = bytearray()  # for each latency: whether the message is of another relay
        self.moving: set[Client] = set()  # who is to join the meeting once registered
        self.missed: set[bytes] = set()  # nicks of those whose relay is lost
        self.gone_ns: list[int] = []
        self.back_ns: list[int] = []
        self.witness: Client | None = None
        self.answered: list[Client] = []

    def settle_on(self, relay: int, count: int) -> list[Client]:
        """Connect so many to one relay."""
        before = set(self.clients)
        self.target = self.targets[relay]
        self.connect(count, AT_ONCE)
        new = [client for descriptor, client in self.clients.items() if descriptor not in before]
        self.homes |= dict.fromkeys(new, relay)
        return new

    def wait(self) -> None:
        """Take what comes next."""
        self._turn()

    def times(self, client: Client, data: bytes, latencies: list[int] | array[int]) -> int:
        """As for any crowd; notes of each message whether it is of another relay."""
        now, home = time.monotonic_ns(), 48 + self.homes[client]  # the relay as a digit
        *lines, client.tail = (client.tail + data).split(b"\n")
        messages = 0
        for line in lines:
            head, found, text = line.partition(b" :")
            if not found or b" PRIVMSG " not in head:
                self.line(client, line.rstrip(b"\r"))
                continue
            messages += 1
            latencies.append(now - int(text[:TIME_DIGITS], 16))
            self.strange.append(text[TIME_DIGITS] != home)
        return messages

    def line(self, client: Client, line: bytes) -> None:
        """As for any crowd; a FAIL is an error too, and who is missed may be gone."""
        words = line.split(b" ", 2)
        if words[0] == b"FAIL":
            raise LoadError(f"{client.nick}: the relay says: {line.decode(errors='replace')}")
        if client is self.witness and words[1:2] == [b"QUIT"]:
            nick = words[0][1:].partition(b"!")[0]
            if nick in self.missed:
                self.missed.remove(nick)
                self.gone_ns.append(time.monotonic_ns())
        super().line(client, line)

    def move(self, client: Client) -> None:
        """Have one whose relay is lost come back on another, as somebody else."""
        home = self.homes.pop(client)
        self.missed.add(client.nick.encode())
        self.drop(client)
        others = [number for number in range(len(self.targets)) if number != home]
        self.target = self.targets[others[len(self.missed) % len(others)]]
        before = set(self.clients.values())
        self._open(())
        self.moving |= set(self.clients.values()) - before

    def serve(self, client: Client, events: int) -> None:
        """Take what has come for one client."""
        self._serve(client, events)

    def _welcomed(self, client: Client) -> None:
        super()._welcomed(client)
        if client in self.moving:
            self.send(client, f"JOIN {MEETING}\r\n".encode())

    def _has_joined(self, client: Client) -> None:
        super()._has_joined(client)
        if client in self.moving:
            self.moving.remove(client)
            self.back_ns.append(time.monotonic_ns())

    def _has_answered(self, client: Client) -> None:
        super()._has_answered(client)
        self.answered.append(client)


class Spread:
    """The people of one process. Owned by that process.

    :param part: which of ``parts`` processes.
    """

    def __init__(
        self, targets: Sequence[Target], prefix: str, part: int, parts: int, deadline: float
    ) -> None:
        self._crowd = _People(targets, prefix, part * NUMBERS)
        self._crowd.deadline = deadline
        self._prefix = prefix
        self._part, self._parts = part, parts
        self._people: list[list[Client]] = []
        self._places = Places(0, 0)
        self._members: dict[int, list[Client]] = {}

    def connect(self, people: int) -> None:
        """Have so many connect in all processes, as many to each relay."""
        relays = len(self._crowd.targets)
        here = share(people, self._parts)[self._part]
        self._people = [
            self._crowd.settle_on(relay, max(1, count))
            for relay, count in enumerate(share(here, relays))
        ]

    def gather(self, places: Places) -> None:
        """Have people join rooms, by turns; they leave those in which they were."""
        self._leave()
        self._places = places
        relays, turns = len(self._people), [0] * len(self._people)
        for room in places.numbers(self._part, self._parts):
            members = []
            for number in range(places.members):
                relay = places.relay(room, number, relays)
                there = self._people[relay]
                members.append(there[turns[relay] % len(there)])
                turns[relay] += 1
            self._members[room] = members
        for room, members in self._members.items():
            for client in members:
                self._crowd.send(client, f"JOIN {self._channel(room)}\r\n".encode())
        self._crowd.settle()

    def talk(self, began_ns: int, messages: int, per_s: int) -> Spoken:
        """Say what of so many messages in all rooms is said in these, the first at ``began_ns``."""
        crowd = self._crowd
        crowd.strange.clear()
        deliveries = self._places.deliveries(self._part, self._parts, messages)
        said = sayings(began_ns, messages, per_s, self._places.rooms, self._members, self._line)
        heard = say(crowd, said, deliveries)
        return self._spoken(heard.ended_ns, heard.latencies_ns, heard.late_ns)

    def exchange(self, messages: int) -> Spoken:
        """Say so many in all rooms as fast as can be; each person is in one room at most.

        In each room the first member speaks again when the last one has heard it.
        """
        crowd = self._crowd
        crowd.strange.clear()
        spoken = share(messages, self._places.rooms)
        left = {room: spoken[room] for room in self._members}
        awaited = {members[-1]: room for room, members in self._members.items()}
        deliveries = self._places.deliveries(self._part, self._parts, messages)
        latencies = array("q")
        for room in self._members:
            self._speak(room, 1, left)
        while len(latencies) < deliveries:
            for descriptor, events in crowd.poll():
                client = crowd.clients[descriptor]
                came = take(crowd, client, events, latencies)
                if came and client in awaited:
                    self._speak(awaited[client], came, left)
        return self._spoken(time.monotonic_ns(), latencies, array("q"))

    def change(self, turns: int, at_once: int) -> dict[str, array[int]]:
        """Have people do all of ``CHANGES``, so often; ``at_once`` of them in all processes.

        Returns how long each took until all of it was answered, by its kind, in nanoseconds.
        """
        crowd = self._crowd
        some = [client for there in zip(*self._people, strict=False) for client in there]
        some = some[: max(1, share(at_once, self._parts)[self._part])]
        took: dict[str, array[int]] = {kind: array("q") for kind in CHANGES}
        plans = {client: self._changes(client, turns) for client in some}
        under_way = {client: self._begin(client, *next(plan)) for client, plan in plans.items()}
        crowd.answered.clear()
        while under_way:
            crowd.wait()
            now, answered = time.monotonic_ns(), crowd.answered
            crowd.answered = []
            for client in answered:
                kind, sent_ns = under_way.pop(client)
                took[kind].append(now - sent_ns)
                coming = next(plans[client], None)
                if coming is not None:
                    under_way[client] = self._begin(client, *coming)
        return took

    def meet(self) -> None:
        """Have all join one room."""
        self._crowd.join(MEETING)
        self._crowd.settle()

    def lose(self, relay: int) -> Loss:
        """Wait until those of a relay that is killed meanwhile are gone, and back on another."""
        crowd = self._crowd
        lost = len(self._people[relay])
        crowd.witness = self._people[(relay + 1) % len(self._people)][0]
        while len(crowd.gone_ns) < lost or len(crowd.back_ns) < lost:
            for descriptor, events in crowd.poll():
                client = crowd.clients[descriptor]
                try:
                    crowd.serve(client, events)
                except LoadError:
                    if crowd.homes.get(client) != relay:
                        raise
                    crowd.move(client)
        return Loss(crowd.gone_ns, crowd.back_ns)

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()

    # ---- inside ----

    def _leave(self) -> None:
        for room, members in self._members.items():
            for client in members:
                self._crowd.send(client, f"PART {self._channel(room)}\r\n".encode())
        self._members.clear()
        self._crowd.settle()

    def _speak(self, room: int, count: int, left: dict[int, int]) -> None:
        count = min(count, left[room])
        if count:
            left[room] -= count
            speaker = self._members[room][0]
            self._crowd.send(speaker, count * self._line(room, speaker, time.monotonic_ns()))

    def _line(self, room: int, speaker: Client, due_ns: int) -> bytes:
        relay = self._crowd.homes[speaker]
        return f"PRIVMSG {self._channel(room)} :{due_ns:0{TIME_DIGITS}x}{relay}\r\n".encode()

    def _channel(self, room: int) -> str:
        return f"#{self._prefix}-{room}"

    def _changes(self, client: Client, turns: int) -> Iterator[tuple[str, str]]:
        """Yield what somebody does, as kind and parameter. In the end all is as before."""
        own = f"#own-{client.nick}"
        turn = zip(CHANGES, (own, f"{client.nick}x", own, client.nick), strict=True)
        return itertools.chain.from_iterable(itertools.repeat(tuple(turn), turns))

    def _begin(self, client: Client, kind: str, what: str) -> tuple[str, int]:
        """Have somebody do something. Return its kind, and when it was sent."""
        sent_ns = time.monotonic_ns()
        # What follows waits until the change is in order, so its answer shows that.
        self._crowd.send(client, f"{kind} {what}\r\nPING change\r\n".encode())
        return kind, sent_ns

    def _spoken(self, ended_ns: int, latencies: array[int], late: array[int]) -> Spoken:
        spoken = Spoken(ended_ns, late_ns=late)
        for latency, strange in zip(latencies, self._crowd.strange, strict=True):
            (spoken.across_ns if strange else spoken.within_ns).append(latency)
        return spoken
