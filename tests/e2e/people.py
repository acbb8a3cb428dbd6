"""People with clients that know of peers, each in a process of their own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securechat.net.threads import start_thread
from tests.e2e.children import ROOT, TIMEOUT_S, RelayProcess
from tests.server.relay_harness import PASSWORD

STEADY = [
    *("--set", "securechat.peer.connector:TUNNEL_AFTER_S=20"),
    *("--set", "securechat.peer.contact:RETRY_MOST_S=1"),
]
"""Flags of a client that does not take the tunnel because the machine is busy, and that tries often
to get a path back."""

SOON_DEAD = [
    *("--set", "securechat.peer.session:PING_AFTER_S=0.5"),
    *("--set", "securechat.peer.session:DEAD_AFTER_S=1.5"),
]
"""Flags of a client that does not wait for half a minute before it takes a path for dead."""

Told = dict[str, Any]
"""An event of a client, with its name as ``event``; or the answer to a call."""


class CallFailed(Exception):
    """The client has refused a call."""


class Person:
    """Somebody with an account, a device and a running client. Owned by the test's thread.

    Each look for an event begins behind the last one that was found.
    """

    def __init__(self, name: str, folder: Path, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.folder = folder
        self.process = process
        self.seen: list[Told] = []
        self._tokens = itertools.count()
        self._events: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._reader = start_thread(f"reader of {name}", self._read)

    # ---- what happens there ----

    def wait(self, event: str, **fields: Any) -> Told:
        """Return the next event of that name with these fields; those before are passed over."""
        passed: list[Told] = []
        while True:
            try:
                found = self._events.get(timeout=TIMEOUT_S)
            except queue.Empty:
                raise AssertionError(f"no {event} {fields} for {self.name}; but {passed}") from None
            self.seen.append(found)
            if _fits(found, event, fields):
                return found
            assert found["event"] != _ENDED, f"{self.name} has ended; before it came {passed}"
            passed.append(found)

    def find(self, event: str, **fields: Any) -> Told:
        """Return an event of that name with these fields, which may have been passed over."""
        known = (told for told in self.seen if _fits(told, event, fields))
        return next(known, None) or self.wait(event, **fields)

    def texts(self) -> list[str]:
        """Return what others have said, as far as it was found or passed over."""
        heard = [told for told in self.seen if told["event"] == "TextReceived" and not told["own"]]
        return [told["text"] for told in heard]

    def seen_of(self, event: str) -> list[Told]:
        """Return the events of that name that were found or passed over."""
        return [told for told in self.seen if told["event"] == event]

    # ---- what is asked of it ----

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client; return what it returned. Raises ``CallFailed``."""
        assert self.process.stdin is not None
        self.process.stdin.write(
            json.dumps({"call": method, "args": args, "kwargs": kwargs}, default=str) + "\n"
        )
        self.process.stdin.flush()
        answer = self._answers.get(timeout=TIMEOUT_S)
        if "answer" not in answer:
            raise CallFailed(f"{self.name}: {method}: {answer}")
        return answer["answer"]

    def sync(self) -> None:
        """Wait until the relay has done all that was said up to now: we can be reached."""
        token = f"sync-{next(self._tokens)}"
        self.call("command", "PING", token)
        while token not in self.wait("RawReceived")["message"]["params"]:
            pass

    def trust(self, *others: Person, show_addresses: bool) -> None:
        """Take all that comes of these people, and their sessions, without a question."""
        for other in others:
            self.call(
                "peers.set_trust",
                other.name,
                policy="always",
                take_files=True,
                show_addresses=show_addresses,
            )

    def say(self, other: Person, text: str) -> int:
        """Say a text inside the session; return the number of its delivery."""
        return int(self.call("peers.send", other.name, text))

    # ---- the end ----

    def end(self) -> None:
        """End in good order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(TIMEOUT_S) == 0

    def kill(self) -> None:
        """End at once, in whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def close(self) -> None:
        """Give back what a child takes, whether it has ended or not."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):  # of what was not read any more
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            (self._events if "event" in told else self._answers).put(told)
        self._answers.put({"error": _ENDED})
        self._events.put({"event": _ENDED})


_ENDED = "the process has ended"


def _fits(told: Told, event: str, fields: dict[str, Any]) -> bool:
    return told["event"] == event and fields.items() <= told.items()


@dataclass
class People:
    """Starts people on a relay, and ends them.

    :param host: where the relay is, as they see it.
    :param flags: of each of them, see ``peer_child``.
    :param commands: what runs the client of somebody, by name; for who is on another machine.
    """

    relay: RelayProcess
    folder: Path
    host: str = "localhost"
    flags: Sequence[str] = ()
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def register(self, *names: str) -> list[Person]:
        """Bring people onto the relay, with new accounts, who can be reached then."""
        people = [self._start(name) for name in names]
        for person in people:
            person.wait("Welcome")
            person.call("register", PASSWORD)
        for person in people:
            person.wait("Registered")
            person.sync()
        return people

    def again(self, name: str) -> Person:
        """Bring somebody back who has an account, with the device in their folder."""
        person = self._start(name, "--password", PASSWORD)
        person.wait("Welcome")
        person.sync()
        return person

    def close(self) -> None:
        self._stack.close()

    def _start(self, name: str, *flags: str) -> Person:
        folder = self.folder / name
        process = subprocess.Popen(
            [
                *self.commands.get(name, ()),
                *(sys.executable, "-m", "tests.e2e.peer_child"),
                *("--host", self.host, "--port", str(self.relay.port), "--ca", str(self.relay.ca)),
                *("--nick", name, "--folder", str(folder), *self.flags, *flags),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=dict(os.environ) | {"PYTHONUTF8": "1"},
        )
        person = Person(name, folder, process)
        self._stack.callback(person.close)
        return person


def open_session(asker: Person, asked: Person, **fields: Any) -> None:
    """Have a session between the two, who trust each other; both are told these ``fields``."""
    asker.call("peers.open", asked.name)
    asker.wait("PeerOpened", account=asked.name, **fields)
    asked.wait("PeerOpened", account=asker.name, **fields)


def talk(one: Person, other: Person, text: str) -> None:
    """Let each say a text, and wait until it was heard."""
    for speaker, listener in ((one, other), (other, one)):
        delivery = speaker.say(listener, f"{text} of {speaker.name}")
        listener.wait("TextReceived", text=f"{text} of {speaker.name}", own=False)
        speaker.find("Delivered", delivery=delivery)
