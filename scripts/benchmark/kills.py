"""kill -9 under load: what the senders knew to be kept is there after the restart, once."""

from __future__ import annotations

import contextlib
import random
import select
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET
from typing import Any, Final

from benchmark.crowd import LoadError, Target
from benchmark.ledger import Ledger
from benchmark.relay import prepare_relay, start_relay, wait_for_port
from benchmark.talker import Gone, Hearing, Said, Talker, multiline
from securechat import pki
from securechat.store.database import open_database
from securechat.store.history import History

__all__ = ["measure_kills"]

SPEAKERS: Final = 6
ROOMS: Final = 4
WINDOW: Final = 8
"""Messages of each speaker that wait for their echo."""

LIFE_S: Final = 1.0
"""How long a relay lives under load, at most; on average it is half of that."""

ONE_IN: Final = 4
"""Of so many restarts one is killed while it starts."""

CREATIONS_IN: Final = 20
"""One for so many kills, and one more, are of a relay that is making its database."""

CREATION_S: Final = 0.05
"""From when the file is there until all tables are, with time to spare."""

POLL_S: Final = 0.002
PAGE: Final = 1000
BEGINNING: Final = "timestamp=1970-01-01T00:00:00.000Z"
LEAST_BYTES, MOST_BYTES = 20, 300  # of what is said in a line
MOST_LINES: Final = 8
SHOWN: Final = 3

SETTINGS: Final[dict[str, dict[str, object]]] = {
    # What is asked is not how long a password takes to hash.
    "accounts": {"argon2_memory_kib": 8192, "argon2_iterations": 1, "failures_per_minute": 0},
    "history": {"page": PAGE, "days": 0, "messages_per_room": 0, "replay_lines": 0},
}


def measure_kills(
    folder: Path, tls: str, *, kills: int, seed: int, timeout_s: float
) -> dict[str, Any]:
    """Kill a relay so many times under load; return the figures.

    ``LoadError`` that says what is wrong if a message is lost, twice, or not as it was said, or
    the database is damaged.

    :param folder: for the relay's files; empty.
    :param seed: of all that is at random here.
    """
    began = time.monotonic()
    trial = _Trial(folder, tls, seed, began + timeout_s)
    try:
        trial.begin(1 + kills // CREATIONS_IN)
        for number in range(1, kills + 1):
            trial.kill_under_load(number)
        trial.finish()
    except LoadError as error:
        raise LoadError(f"seed {seed}, {trial.done} kills: {error}") from error
    finally:
        trial.close()
    ledgers = trial.ledgers.values()
    return {
        "kills": kills,
        "kills_at_start": trial.killed_at_start,
        "seed": seed,
        "speakers": SPEAKERS,
        "conversations": len(ledgers),
        "said": sum(ledger.said for ledger in ledgers),
        "acknowledged": sum(ledger.acknowledged for ledger in ledgers),
        "kept": trial.kept,
        "lost": 0,
        "twice": 0,
        "databases": trial.databases,
        "damaged": 0,
        "seconds": round(time.monotonic() - began, 1),
    }


@dataclass(slots=True)
class _Speaker:
    """Somebody who says things in turn in their rooms, and to the next speaker."""

    nick: str
    targets: tuple[str, ...]
    said: int = 0
    talker: Talker | None = None
    hearing: Hearing = field(default_factory=Hearing)
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)  # by label: target, text


class _Trial:
    """A relay that is killed again and again, with the same database. Owned by one thread."""

    def __init__(self, folder: Path, tls: str, seed: int, deadline: float) -> None:
        self.done = 0
        self.killed_at_start = 0
        self.databases = 0  # that were checked
        self.kept = 0
        self.ledgers: dict[str, Ledger] = {}
        self._folder = folder
        self._tls = tls
        self._when = random.Random(seed)  # of its own: how much is said depends on the machine
        self._chance = random.Random(seed)
        self._deadline = deadline
        self._config = prepare_relay(folder, tls, settings=SETTINGS)
        self._process: subprocess.Popen[bytes] | None = None
        self._starting_s = 0.0
        self._read_to: dict[str, str] = {}  # by conversation: where in its history
        self._checked: dict[str, int] = {}  # by conversation: how many were said by then
        nicks = [f"speaker{number}" for number in range(SPEAKERS)]
        self._speakers = [
            _Speaker(nick, (*self._rooms(number), nicks[(number + 1) % SPEAKERS]))
            for number, nick in enumerate(nicks)
        ]
        for speaker in self._speakers:
            for target in speaker.targets:
                name = _conversation(speaker, target)
                self.ledgers.setdefault(name, Ledger(name))

    def begin(self, creations: int) -> None:
        """Kill some relays while they make the database; have one make it, and the accounts."""
        for _ in range(creations):
            self._kill_in_creation()
        self._start()
        self._come(new=True)

    def kill_under_load(self, number: int) -> None:
        """Have all talk; kill the relay; start it again, and look what is there."""
        self._talk(number)
        self.done = number
        self._check_files()
        if not self._when.randrange(ONE_IN):
            self._kill_at_start()
        self._start()
        self._come()
        for speaker in self._speakers:
            for target in speaker.targets:
                self._check(speaker, target)

    def finish(self) -> None:
        """Look once more at all that there is, from the beginning; stop the relay."""
        self._read_to.clear()
        self._checked.clear()
        for speaker in self._speakers:
            for target in speaker.targets:
                self.kept += self._check(speaker, target)
        self._leave()
        process = self._running()
        process.terminate()
        if code := process.wait(self._left()):
            raise LoadError(f"the relay ended with exit code {code}")
        self._check_files()

    def close(self) -> None:
        """End all that still runs."""
        self._leave()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # ---- the relay ----

    def _start(self) -> None:
        began = time.monotonic()
        self._process = start_relay(self._config)
        port = wait_for_port(self._process, self._config)
        self._starting_s = time.monotonic() - began
        ca = pki.ca_files(self._folder).certificate
        self._target = Target(AF_INET, ("127.0.0.1", port), "127.0.0.1", ca, self._tls)

    def _kill_in_creation(self) -> None:
        for path in self._folder.glob(f"{self._database.name}*"):
            path.unlink()
        self._process = start_relay(self._config)
        while not self._database.exists():
            self._left()
            time.sleep(POLL_S)
        time.sleep(self._when.uniform(0, CREATION_S))
        self._kill()
        self.killed_at_start += 1
        self._check_files()

    def _kill_at_start(self) -> None:
        self._process = start_relay(self._config)
        time.sleep(self._when.uniform(self._starting_s / 2, self._starting_s))
        self._kill()
        self.killed_at_start += 1
        self._check_files()

    def _kill(self) -> None:
        process = self._running()
        process.kill()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise LoadError("the relay has ended by itself")
        return self._process

    @property
    def _database(self) -> Path:
        return self._folder / "relay.db"

    def _check_files(self) -> None:
        """Check a copy of what the relay has left: what repairs it itself is the next relay."""
        copy = self._folder / "copy"
        copy.mkdir()
        for name in (self._database.name, f"{self._database.name}-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self._database.with_name(name), copy)
        with contextlib.closing(open_database(copy / self._database.name)) as connection:
            damages = list(_damages(connection))
        if damages:
            raise LoadError(f"the database is damaged: {_some(damages)}")
        shutil.rmtree(copy)
        self.databases += 1

    # ---- those who talk ----

    @staticmethod
    def _rooms(number: int) -> Iterator[str]:
        """The rooms of the speaker of that number; each has half of all."""
        return (f"#room{room}" for room in range(ROOMS) if (room + number) % 2)

    def _come(self, *, new: bool = False) -> None:
        """Have all connect and enter their rooms. Every other is also there while not connected."""
        for number, speaker in enumerate(self._speakers):
            talker = Talker(self._target, speaker.nick, self._deadline)
            speaker.talker, speaker.hearing, speaker.waiting = talker, Hearing(), {}
            talker.enter(new=new)
            if new and number % 2:
                talker.ask("SET always-on on")
            talker.ask(*(f"JOIN {target}" for target in speaker.targets if target[0] == "#"))

    def _leave(self) -> None:
        for speaker in self._speakers:
            if speaker.talker is not None:
                speaker.talker.close()
                speaker.talker = None

    def _talk(self, life: int) -> None:
        """Have all talk until the relay is killed; then read what it had still sent to each."""
        killed_at = time.monotonic() + self._when.uniform(0, LIFE_S)
        there = {speaker.talker: speaker for speaker in self._speakers if speaker.talker}
        killed = False
        while there:
            if not killed and time.monotonic() >= killed_at:
                self._kill()
                killed = True
            left = self._left() if killed else max(0.0, killed_at - time.monotonic())
            if not killed:
                for talker, speaker in there.items():
                    self._fill(talker, speaker, life)
            for talker in select.select(list(there), [], [], left)[0]:
                try:
                    self._listen(talker, there[talker])
                except Gone:
                    if not killed:
                        raise
                    del there[talker]
        self._leave()

    def _fill(self, talker: Talker, speaker: _Speaker, life: int) -> None:
        """Say as much as is to be on its way."""
        lines: list[str] = []
        while len(speaker.waiting) < WINDOW:
            target = speaker.targets[speaker.said % len(speaker.targets)]
            label = f"{life}.{speaker.said}"
            speaker.said += 1
            text = self._text(label)
            speaker.waiting[label] = target, text
            self.ledgers[_conversation(speaker, target)].say(speaker.nick, text)
            if "\n" in text:
                lines += multiline(target, text.split("\n"), label)
            else:
                command = self._chance.choice(("PRIVMSG", "PRIVMSG", "NOTICE"))
                lines.append(f"@label={label} {command} {target} :{text}")
        if lines:
            talker.send(*lines, *self._beside(speaker))

    def _text(self, label: str) -> str:
        """Something that nobody else says, of one line or of several."""
        chance = self._chance
        count = chance.randint(2, MOST_LINES) if not chance.randrange(10) else 1
        first, *more = ("x" * chance.randint(LEAST_BYTES, MOST_BYTES) for _ in range(count))
        return "\n".join([f"{label} {chance.getrandbits(32):x} {first}", *more])

    def _beside(self, speaker: _Speaker) -> Iterator[str]:
        """What else is written now and then, with the same commits."""
        room = speaker.targets[0]
        if not self._chance.randrange(20):
            yield f"TOPIC {room} :{speaker.said}"
        if not self._chance.randrange(20):
            yield f"MARKREAD {room} timestamp=2030-01-01T00:00:00.000Z"

    def _listen(self, talker: Talker, speaker: _Speaker) -> None:
        for message in talker.take():
            if message.command in ("ERROR", "FAIL"):
                raise LoadError(f"{speaker.nick}: the relay says: {message.to_line()}")
            said = speaker.hearing.hear(message)
            if said is not None and said.label:
                self._acknowledge(speaker, said)

    def _acknowledge(self, speaker: _Speaker, said: Said) -> None:
        expected = speaker.waiting.pop(said.label, None)
        if expected != (said.target, said.text) or said.sender != speaker.nick:
            raise LoadError(f"{speaker.nick}: an echo of what was not said: {said.label}")
        self.ledgers[_conversation(speaker, said.target)].acknowledge(speaker.nick, said.text)

    # ---- what is there ----

    def _check(self, speaker: _Speaker, target: str) -> int:
        """Check what has come to a conversation since it was checked; return how much that is."""
        assert speaker.talker is not None
        name = _conversation(speaker, target)
        ledger = self.ledgers[name]
        found: list[Said] = []
        if self._checked.get(name) == ledger.said:
            return 0  # by another member
        since = self._checked.get(name, 0)
        while page := speaker.talker.history(target, self._read_to.get(name, BEGINNING), PAGE):
            self._read_to[name] = f"msgid={page[-1].msgid}"
            found += page
        wrong = ledger.complaints(((said.sender, said.text) for said in found), since)
        if wrong:
            raise LoadError(_some(wrong))
        self._checked[name] = ledger.said
        return len(found)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise LoadError("it took too long; --timeout gives it more")
        return left


def _conversation(speaker: _Speaker, target: str) -> str:
    """The name of what ``speaker`` says to ``target`` and hears from there."""
    return target if target[0] == "#" else f"{speaker.nick} to {target}"


def _damages(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with a database; it takes in first what waits for the search index."""
    History(connection).search([], limit=1)
    for (told,) in connection.execute("PRAGMA integrity_check"):
        if told != "ok":
            yield told
    for table, row, *_ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to none"
    try:
        check = "INSERT INTO message_index (message_index, rank) VALUES ('integrity-check', 1)"
        connection.execute(check)
    except sqlite3.DatabaseError as error:
        yield f"the search index: {error}"


def _some(complaints: Sequence[str]) -> str:
    more = f" and {len(complaints) - SHOWN} more" if len(complaints) > SHOWN else ""
    return "; ".join(complaints[:SHOWN]) + more
