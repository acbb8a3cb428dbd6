"""People who talk while others attack the relay."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from benchmark.attacks import ACCOUNT, ATTACKS, BIG_ROOM, OLD_ROOM
from benchmark.children import Child, Children
from benchmark.crowd import Crowd, LoadError, Target
from benchmark.pace import Heard, Saying, percentile_ms, say, stamped
from benchmark.raid import Attack, Raid, Raider, Tally
from benchmark.relay import cpu_s, memory_bytes
from securechat.server.config import AccountsConfig, LimitsConfig, PeersConfig

__all__ = ["REAL_SETTINGS", "measure_abuse"]

REAL_SETTINGS: Final[Mapping[str, Mapping[str, object]]] = {
    "accounts": asdict(AccountsConfig()),
    "limits": asdict(LimitsConfig()),
    "peers": asdict(PeersConfig()),
}
"""The limits of a relay that nobody has configured. None of them counts connections from loopback
addresses, so nothing has to be changed for an audience that all comes from here."""

PER_S: Final = 100
"""Messages of the audience each second: few enough that the relay is quiet, and nobody of a hundred
says more than people may."""

ROOM_MEMBERS: Final = 10
OWN_ROOMS: Final = 5
"""In which each of the audience is alone: so that there is something to list."""

AT_ONCE: Final = 16
"""Handshakes of the audience under way at a time."""

NICENESS: Final = 19
"""Of the process that attacks, so that it has what processor time the relay and the audience leave:
elsewhere an attacker brings his own."""

SETTLE_S: Final = 20.0
"""How long the relay may take to be rid of an attack, before its connections count as left behind:
one that it has ended may linger for two seconds, and passwords may wait to be hashed for three. The
rest is for a machine that has more to do."""

_SETTLE_STEP_S: Final = 0.02
_BUSY: Final = 0.1

SPOKEN_A_VISIT: Final = 30
"""Said in the old room by each who comes: fewer than one may say at once."""

READ_ON: Final = 1.2
"""How much longer than an attack the bystanders read."""

REST_S: Final = 0.5
"""Between two looks at what has come: each takes a command of everybody's."""


@dataclass(slots=True)
class _Runs:
    """What one attack did, in all rounds."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    max_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    quiet_p50_ms: list[float] = field(default_factory=list)
    quiet_p99_ms: list[float] = field(default_factory=list)
    grown_bytes: list[int] = field(default_factory=list)
    left_descriptors: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class _Spell:
    """How it went for the audience, for a while. Immutable."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    late_ms: float
    relay_cpu: float


def measure_abuse(
    target: Target,
    pid: int,
    *,
    audience: int,
    bystanders: int,
    seconds: float,
    rounds: int,
    stored: int,
    attacks: Sequence[str],
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which quiet and the ``attacks`` take turns.

    :param pid: of the relay, which has ``REAL_SETTINGS``.
    :param audience: people, who all together say ``PER_S`` messages each second.
    :param bystanders: people in the one room that attacks are made on, who only read.
    :param seconds: of each attack, and of each quiet time before and after it.
    :param stored: messages in the history of one room.
    """
    prefix = secrets.token_hex(1)[:1]
    runs = {name: _Runs() for name in attacks}
    with Children(timeout_s) as children:
        raid = children.start(partial(_Attacker, target, f"z{prefix}"))
        crowd = children.start(partial(_Bystanders, target, f"b{prefix}"))
        people = children.start(partial(_Audience, target, f"a{prefix}"))
        crowd.do(_Bystanders.gather, bystanders)
        people.do(_Audience.gather, audience)
        filled = raid.begin(_Attacker.fill, stored)
        while not raid.answered:
            people.do(_Audience.rest)
        filled()
        people.do(_Audience.talk, seconds)  # to warm up
        quiet = _listen(people, pid, seconds)
        for _, (name, run) in itertools.product(range(rounds), runs.items()):
            memory, descriptors = memory_bytes(pid), _descriptors(pid)
            read = crowd.begin(_Bystanders.read, READ_ON * seconds)
            attack = raid.begin(_Attacker.attack, name, seconds)
            heard = _listen(people, pid, seconds)
            _add(run.tally, attack())
            read()
            run.left_descriptors.append(max(0, _settle(pid, descriptors) - descriptors))
            run.grown_bytes.append(memory_bytes(pid) - memory)
            after = _listen(people, pid, seconds)
            run.p50_ms.append(heard.p50_ms)
            run.p99_ms.append(heard.p99_ms)
            run.max_ms.append(heard.max_ms)
            run.late_ms.append(heard.late_ms)
            run.cpu.append(heard.relay_cpu)
            run.quiet_p50_ms.append((quiet.p50_ms + after.p50_ms) / 2)
            run.quiet_p99_ms.append((quiet.p99_ms + after.p99_ms) / 2)
            quiet = after
    return {
        "audience": audience,
        "bystanders": bystanders,
        "messages_per_s": PER_S,
        "seconds": seconds,
        "rounds": rounds,
        "stored": stored,
        "attacks": {name: _figures(run) for name, run in runs.items()},
    }


def _listen(people: Child[_Audience], pid: int, seconds: float) -> _Spell:
    """Have the audience talk for so long."""
    before, began = cpu_s(pid), time.monotonic()
    heard = people.do(_Audience.talk, seconds)
    relay_cpu = (cpu_s(pid) - before) / (time.monotonic() - began)
    latencies, late = sorted(heard.latencies_ns), sorted(heard.late_ns)
    return _Spell(
        percentile_ms(latencies, 50),
        percentile_ms(latencies, 99),
        percentile_ms(latencies, 100),
        percentile_ms(late, 99),
        relay_cpu,
    )


def _settle(pid: int, descriptors: int = 0) -> int:
    """Wait until the relay has done what it was given and is down to so many ``descriptors``.

    Return how many it has. (0: whatever it has.)
    """
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        before = cpu_s(pid)
        time.sleep(_SETTLE_STEP_S)
        busy = cpu_s(pid) - before > _BUSY * _SETTLE_STEP_S
        if not busy and (not descriptors or _descriptors(pid) <= descriptors):
            break
    return _descriptors(pid)


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _add(total: Tally, more: Tally) -> None:
    total.opened += more.opened
    total.refused += more.refused
    total.ended += more.ended
    total.lines_read += more.lines_read
    total.bytes_sent += more.bytes_sent


def _figures(run: _Runs) -> dict[str, Any]:
    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3)

    return {
        "p50_ms": median(run.p50_ms),
        "p99_ms": median(run.p99_ms),
        "max_ms": median(run.max_ms),
        "sent_late_p99_ms": median(run.late_ms),
        "quiet_p50_ms": median(run.quiet_p50_ms),
        "quiet_p99_ms": median(run.quiet_p99_ms),
        "p99_to_quiet": median(
            [p99 / quiet for p99, quiet in zip(run.p99_ms, run.quiet_p99_ms, strict=True)]
        ),
        "relay_processors": median(run.cpu),
        "relay_bytes_grown": max(run.grown_bytes),
        "descriptors_left": max(run.left_descriptors),
        "connections": run.tally.opened,
        "not_accepted": run.tally.refused,
        "ended": dict(run.tally.ended),
        "lines_answered": run.tally.lines_read,
        "bytes_sent": run.tally.bytes_sent,
    }


class _Audience:
    """People in rooms of ten, who take turns to speak. Owned by one process."""

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._prefix = prefix
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline

    def gather(self, people: int) -> None:
        """Have so many connect and join their rooms, and those of their own."""
        crowd = self._crowd
        crowd.connect(people, AT_ONCE)
        for number, client in enumerate(crowd.clients.values()):
            own = (f"#{client.nick}-{each}" for each in range(OWN_ROOMS))
            rooms = [self._channel(number), *own, *([] if number else [OLD_ROOM])]
            crowd.send(client, f"JOIN {','.join(rooms)}\r\n".encode())
        crowd.settle()

    def rest(self) -> None:
        """Read what comes, for a while."""
        self._crowd.settle()
        time.sleep(REST_S)

    def talk(self, seconds: float) -> Heard:
        """Have ``PER_S`` messages said each second, from now on; return how they were heard."""
        messages = max(1, round(PER_S * seconds))
        people = len(self._crowd.clients)
        sizes = Counter(map(self._room, range(people)))
        speakers = [number % people for number in range(messages)]
        hearers = sum(sizes[self._room(number)] - 1 for number in speakers)
        return say(self._crowd, self._sayings(speakers), hearers)

    def close(self) -> None:
        self._crowd.close()

    def _sayings(self, speakers: Sequence[int]) -> Iterator[Saying]:
        clients = list(self._crowd.clients.values())
        began_ns = time.monotonic_ns()
        for place, number in enumerate(speakers):
            due_ns = began_ns + place * 1_000_000_000 // PER_S
            yield Saying(due_ns, clients[number], stamped(self._channel(number), due_ns))

    def _room(self, number: int) -> int:
        # Who speaks next is in another room.
        return number % max(1, len(self._crowd.clients) // ROOM_MEMBERS)

    def _channel(self, number: int) -> str:
        return f"#{self._prefix}-{self._room(number)}"


class _Bystanders:
    """People in the big room, who only read, and that as cheaply as can be. Owned by one process.

    What comes for them costs the relay what it costs; deciphering it here would take the processor
    from the relay, and from the audience.
    """

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline

    def gather(self, people: int) -> None:
        """Have so many connect and join the room."""
        self._crowd.connect(people, AT_ONCE)
        self._crowd.join(BIG_ROOM)
        self._crowd.settle()

    def read(self, seconds: float) -> None:
        """Take what comes, for so long."""
        crowd = self._crowd
        for client in crowd.clients.values():
            crowd.send(client, b"PONG here\r\n")  # the relay's PINGs are not deciphered either
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for descriptor, _ in crowd.poll(end):
                with contextlib.suppress(BlockingIOError):
                    if not crowd.clients[descriptor].socket.recv_into(crowd.cipher):
                        raise LoadError("the relay has closed the connection of a bystander")

    def close(self) -> None:
        self._crowd.close()


class _Attacker:
    """Makes the attacks, after what these need. Owned by one process."""

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._raid = Raid(target, prefix, deadline)
        self._deadline = deadline

    def fill(self, messages: int) -> None:
        """Say so much in the old room, and make an account; give way from now on."""
        self._raid.run(_Filling(messages), self._deadline - time.monotonic())
        os.nice(NICENESS)

    def attack(self, name: str, seconds: float) -> Tally:
        """Make the attack for so long."""
        _, make = ATTACKS[name]
        return self._raid.run(make(), seconds)

    def close(self) -> None:
        self._raid.close()


class _Filling(Attack):
    """Says what an old room has said, a few by each; the first makes an account."""

    def __init__(self, messages: int) -> None:
        self.most = -(-messages // SPOKEN_A_VISIT)
        self._first = True

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        lines = [
            f"NOTICE {OLD_ROOM} :some words about {raider.nick} and the number {number}"
            for number in range(SPOKEN_A_VISIT)
        ]
        if self._first:
            self._first = False
            lines += [f"NICK {ACCOUNT}", f"REGISTER * * {secrets.token_hex(16)}"]
        raid.say(raider, "\r\n".join([f"JOIN {OLD_ROOM}", *lines, "PING over\r\n"]).encode())

    def told(self, raid: Raid, raider: Raider, line: bytes) -> None:
        if b" PONG " in line[:80]:
            raid.end(raider)
        else:
            super().told(raid, raider, line)
