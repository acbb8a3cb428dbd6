"""The relay as a whole: several people who say anything, at any time, to one that lives in memory.

An input is a script, a step on each line. ``0JOIN #a`` has the first of eight connections say that;
a connection that is not there is made first, and its client gets on the network in its own way (see
``GREETINGS``). Then all that there is to do is done. ``aJOIN #a`` is the same, but the store and
the hash threads are yet to come to it. Other steps are in ``_STEPS``. Bytes from 0x80 on are words
(see ``relay_words``), so that random bytes say something; what stands in braces is what the client
has been told before. Any bytes are a script.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.errors import RemoteProtocolError
from securechat.invite_link import CA_ALPN
from securechat.irc import capabilities as caps
from securechat.irc.message import Message
from securechat.irc.peering import TUNNEL_ALPN
from securechat.irc.tags import parse_tags
from securechat.server.context import LABEL_BYTES
from securechat.server.websocket import ALPN as WEB_ALPN
from tests.fuzzing.memory_parts import End, Watcher, memory_database, watched_log
from tests.fuzzing.memory_relay import MemoryRelay
from tests.fuzzing.relay_people import GATEWAY_ADDRESS, GREETINGS, Person, configs
from tests.fuzzing.relay_words import NAMES, WORDS
from tests.server.network_checks import check_state

__all__ = ["run_relay"]

_CERTIFICATES: Final = (Path(__file__).parent / "devices.txt").read_text().split()

_MOST_STEPS: Final = 64
"""More are not played: a long input finds no more than several short ones, but takes longer."""

_LINE_BYTES: Final = 9_000
"""The longest step, in bytes: a line that is too long with its tags, and so is its text."""


class _Play:
    """One script, as it is played."""

    def __init__(self, variant: int, database: sqlite3.Connection, log: Watcher) -> None:
        self._log = log
        self._troubled = False
        self.relay = MemoryRelay(configs()[variant], database)
        self._people: dict[int, Person] = {}
        self._by_end: dict[End, Person] = {}
        self._steps = 0

    @property
    def _fold(self) -> Callable[[str], str]:
        return self.relay.services.network.fold

    # ---- steps ----

    def step(self, step: bytes) -> None:
        self._steps += 1
        kind, rest = step[:1], step[1:_LINE_BYTES]
        found = _STEPS.get(kind)
        if found is not None:
            found(self, rest)
        elif b"a" <= kind <= b"h":
            self._say(kind[0] - ord("a"), rest)
            self.relay.turn()
        elif kind:
            person = self._say(kind[0] % 8, rest)
            self._settle()
            if person is not None:
                self._check_label(person)

    def _say(self, slot: int, text: bytes) -> Person | None:
        person = self._person(slot)
        if person is None:
            return None
        line = self._filled(text, slot, person)
        label = _label_of(line)
        for part in line.split(b"\r"):
            person.sent[_label_of(part)] += 1
        expected = label and self._is_alone(person) and _expects_answer(line)
        self._label = label if expected else ""
        self._before = person.hearing.answered.count(label), person.caps
        person.say(line)
        return person

    def _raw(self, rest: bytes) -> None:
        slot = rest[0] % 8 if rest else 0
        person = self._person(slot)
        if person is not None:
            data = self._filled(rest[1:], slot, person)
            data = data.replace(b"\\r", b"\r").replace(b"\\n", b"\n")
            for line in data.replace(b"\r", b"\n").split(b"\n"):
                person.sent[_label_of(line)] += 1
            person.say_raw(data)
        self._settle()

    def _connect(self, rest: bytes) -> None:
        slot = rest[0] % 8 if rest else 0
        self._vanish(rest)
        protocol = {b"t": TUNNEL_ALPN, b"c": CA_ALPN, b"w": WEB_ALPN}.get(rest[1:2], "irc")
        teller = next((p for p in self._people.values() if p.hearing.tokens), None)
        person = self._meet(slot, protocol)
        if person is not None and protocol == TUNNEL_ALPN:
            token = teller.hearing.tokens.pop() if teller is not None else "x"
            person.end.send(rest[2:].replace(b"{token}", token.encode()) + b"\n")
        self._settle()

    def _vanish(self, rest: bytes) -> None:
        person = self._people.pop(rest[0] % 8 if rest else 0, None)
        if person is not None:
            person.end.vanish()
        self._settle()

    def _stop_reading(self, rest: bytes) -> None:
        person = self._people.get(rest[0] % 8 if rest else 0)
        if person is not None:
            person.end.reading = not person.end.reading
        self._settle()

    def _pass_time(self, rest: bytes) -> None:
        digits = re.match(rb"[0-9]{1,7}", rest)
        self.relay.pass_time(int(digits[0]) if digits is not None else 1)
        self._settle()

    def _break_disk(self, rest: bytes) -> None:
        self._troubled = True
        self.relay.store.break_down(not self.relay.store.trouble)
        if not self.relay.store.trouble:
            with self.relay.services.lock:
                self.relay.services.event_log.keep_again()
        self._settle()

    def _fill_store(self, rest: bytes) -> None:
        self._troubled = True
        self.relay.store.full = not self.relay.store.full
        self.relay.pass_time(1)  # what found it full tries again
        self._settle()

    def _restart(self, rest: bytes) -> None:
        self.relay.store.full = False
        self.relay.stop(self._hear)
        assert not self.relay.services.registry.snapshot()
        self._begin_again()

    def _kill(self, rest: bytes) -> None:
        self.relay.store.break_down(False)
        self.relay.kill()
        self._begin_again()

    def _begin_again(self) -> None:
        self.relay.restart()
        self._people.clear()
        self._by_end.clear()
        self._settle()

    # ---- people ----

    def _person(self, slot: int) -> Person | None:
        person = self._people.get(slot)
        if person is None or not person.end.open:
            return self._meet(slot, WEB_ALPN if NAMES[slot] == "web" else "irc", greets=True)
        return person

    def _meet(self, slot: int, protocol: str, *, greets: bool = False) -> Person | None:
        address = GATEWAY_ADDRESS if NAMES[slot] == "gate" else f"192.0.2.{1 + slot // 2}"
        end = self.relay.connect(address, protocol=protocol)
        if end is None:
            return None
        person = self._people[slot] = self._by_end[end] = Person(end, protocol, self._fold)
        if greets:
            self._greet(person, slot)
        return person

    def _greet(self, person: Person, slot: int) -> None:
        if person.protocol == WEB_ALPN:
            self._settle()  # nothing is said before the answer to the request
        for line in GREETINGS[slot]:
            person.say(line)
        person.allowed = -1
        self._settle()

    def _filled(self, text: bytes, slot: int, person: Person) -> bytes:
        line = _HIGH.sub(_word, text)
        if b"{" not in line:
            return line
        msgids = person.hearing.msgids or ["none"]
        for name, value in (
            (b"{msgid}", msgids[-1]),
            (b"{old}", msgids[0]),
            (b"{nick}", person.hearing.nick),
            (b"{n}", str(self._steps)),
            (b"{certificate}", _CERTIFICATES[slot % 2]),
        ):
            line = line.replace(name, value.encode())
        return line

    # ---- what must hold ----

    def _hear(self, end: End, data: bytes) -> None:
        person = self._by_end.get(end)
        if person is not None:
            person.hear(data)

    def _settle(self) -> None:
        self.relay.settle(self._hear)
        self._check()

    def _check(self) -> None:
        services = self.relay.services
        network = services.network
        self.relay.check_mishaps()
        assert self._troubled or not self._log.errors, self._log.errors
        check_state(network)
        registered = set()
        for session in services.registry.snapshot():
            assert not session.ended, "a session that is over is in the registry"
            user = network.sessions.get(session.id)
            assert (user is not None) == session.registration.complete
            if user is not None:
                registered.add(session.id)
                assert user.account == session.account
        assert registered == set(network.sessions)
        for person in self._people.values():
            self._check_person(person)

    def _check_person(self, person: Person) -> None:
        session, hearing = person.end.session, person.hearing
        for label, count in Counter(hearing.answered).items():
            assert count <= person.sent[label], f"answered twice: {label!r}"
        if session is None or not person.end.open or not person.end.reading or not person.chats:
            return
        assert not session.held or self.relay.store.full, (
            "held, and nothing is left to be waited for"
        )
        person.allowed = session.caps
        user = self.relay.services.network.sessions.get(session.id)
        if user is not None and not hearing.in_batch and not hearing.lost:
            assert hearing.nick == user.nick
            assert hearing.channels == set(user.channels)

    def _is_alone(self, person: Person) -> bool:
        """Whether a command now would be answered by itself."""
        session = person.end.session
        return (
            session is not None
            and not person.broken
            and person.end.reading
            and session.batch is None
            and not session.held
            and not self.relay.store.full
            and not self.relay.config.limits.commands_per_s
        )

    def _check_label(self, person: Person) -> None:
        """Check that the command of this step was answered, if it had a label, and just once."""
        before, mask = self._before
        session = person.end.session
        if not self._label or not person.end.open or session is None or session.batch is not None:
            return
        if mask & person.caps & _LABELS == _LABELS:
            assert person.hearing.answered.count(self._label) == before + 1, "not answered"

    def end(self) -> None:
        """Check that nobody is stuck, and that all can go."""
        self.relay.store.full = False
        self.relay.store.break_down(False)
        asked = {
            slot: person
            for slot, person in self._people.items()
            if person.end.open and person.end.reading and person.chats and not person.broken
        }
        for slot, person in asked.items():
            person.say(b"PING end-%d" % slot)
        # Open batches are over by then; with a limit, some commands must wait longer than that.
        for _ in range(3 if self.relay.config.limits.commands_per_s else 1):
            self.relay.pass_time(31)
            self._settle()
        for slot, person in asked.items():
            assert not person.end.open or f"end-{slot}" in person.hearing.pongs, "no answer"
        self.relay.kill()
        services = self.relay.services
        assert not services.registry.snapshot()
        assert not services.network.sessions
        check_state(services.network)
        assert services.tunnels.snapshot().ends == 0
        assert self.relay.admission._counter.total() == 0
        self.relay.work()


_STEPS: Final[dict[bytes, Callable[[_Play, bytes], None]]] = {
    b"=": _Play._raw,  # =0abc: says these bytes, which may be no line; \r and \n stand for the ends
    b"+": _Play._connect,  # +0i: connects anew and says nothing; t, c: to a tunnel, for the CA
    b"-": _Play._vanish,  # -0: is gone without a word
    b"?": _Play._stop_reading,  # ?0: reads no more, or again
    b"~": _Play._pass_time,  # ~60: seconds pass
    b"!": _Play._break_disk,  # the disk cannot be written, or can be again
    b"|": _Play._fill_store,  # the store takes nothing, or does again
    b"%": _Play._restart,  # the relay stops, and starts again
    b"^": _Play._kill,  # the same, but it is killed
    b".": lambda play, rest: play.relay.turn(),
    b"s": lambda play, rest: _ignore(play.relay.store.work()),
    b"p": lambda play, rest: _ignore(play.relay.hashers.work()),
}

_LABELS: Final = caps.LABELED_RESPONSE | caps.BATCH
_HIGH: Final = re.compile(rb"\xff(.?)|[\x80-\xfe]", re.DOTALL)
_ENCODED: Final = [word.encode() for word in WORDS]


def _ignore(done: bool) -> None: ...


def _word(high: re.Match[bytes]) -> bytes:
    if high[1] is not None:
        return high[1]
    return _ENCODED[(high[0][0] - 0x80) % len(_ENCODED)]


def _label_of(line: bytes) -> str:
    """Return the label of a line, whatever else is wrong with it."""
    if not line.startswith(b"@") or b"label" not in line:
        return ""
    return parse_tags(line[1:].partition(b" ")[0].decode(errors="replace")).get("label", "")


def _expects_answer(line: bytes) -> bool:
    """Whether it is sure that a line is answered with its label."""
    try:
        message = Message.parse(line.decode())
    except (RemoteProtocolError, UnicodeDecodeError):
        return False
    return "batch" not in message.tags and len(message.tags["label"].encode()) <= LABEL_BYTES


def run_relay(data: bytes) -> None:
    """Play the script ``data``; raise if anything was wrong."""
    steps = data.split(b"\n", _MOST_STEPS)[:_MOST_STEPS]
    variant = 0
    if steps[0][:1] == b"#":
        variant = (steps[0][1] if len(steps[0]) > 1 else 0) % 4
        del steps[0]
    # To write every line of the log takes a tenth of the time: one in four has it looked at.
    level = logging.WARNING if len(data) % 4 else logging.INFO
    with memory_database("cat", "dan", "Eve") as database, watched_log(level) as log:
        play = _Play(variant, database, log)
        try:
            for step in steps:
                play.step(step)
            play.end()
        finally:
            play.relay.kill()
