"""Hundreds of people who do at random what people do, and note all that they hear.

A few threads, each with some of them. Who is cut off connects again, to any relay.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from securechat.irc.message import Message
from securechat.irc.sasl import authenticate_chunks, plain_response
from securechat.net.threads import Thread, start_thread
from tests.server.relay_harness import PASSWORD

__all__ = ["ROOMS", "Crowd", "Hearing", "Said"]

THREADS = 3
PAUSE_S = 0.02
"""Between two looks at all connections, in seconds."""

AGAIN_S = 0.5
"""Between two attempts to connect, in seconds."""

CAPS = "batch message-tags server-time standard-replies sasl"
ECHO = "echo-message labeled-response"

ROOMS = [f"#room{n}" for n in range(8)]
"""Where people are as long as they are connected."""

SIDE_ROOMS = [f"#side{n}" for n in range(4)]
"""Where they come and go."""


@dataclass(eq=False)
class Said:
    """Something that was said once, by its text, and what its sender was told of it.

    ``acknowledged`` by an echo, or by its label; ``refused`` by an error.
    """

    text: str
    target: str
    acknowledged: bool = False
    refused: str = ""


@dataclass(eq=False)
class Hearing:
    """What one connection has said and heard. Of its own thread, until that has ended.

    ``heard`` are the ids of messages of others; ``rooms`` are where it is all the time.
    """

    number: int
    nick: str
    relay: int
    echoes: bool
    rooms: dict[str, list[str]] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # id → text
    said: dict[str, Said] = field(default_factory=dict)  # by label, or else by text
    batches: dict[str, Said] = field(default_factory=dict)  # those that answer something
    lines: list[str] = field(default_factory=list)


class Person:
    """Somebody with one device; of an account, or a guest. Owned by one thread."""

    def __init__(self, crowd: Crowd, name: str, account: str, seed: int) -> None:
        self._crowd = crowd
        self._name = name
        self._account = account
        self._random = random.Random(seed)
        self._rooms = self._random.sample(ROOMS, 2)
        self._echoes = self._random.random() < 0.5
        self._tries = 0
        self._sock: ssl.SSLSocket | None = None
        self._shaking = False
        self._in = self._out = b""
        self._due = 0.0
        self.here = False
        self.hearing: Hearing

    @property
    def waits(self) -> list[Said]:
        """What it has said and is to be answered, and is not yet."""
        if not self.here or not self._echoes:
            return []
        said = list(self.hearing.said.values())
        return [each for each in said if not (each.acknowledged or each.refused)]

    # ---- the connection ----

    def look(self, now: float) -> None:
        """Do what is to be done now. Never blocks."""
        if self._sock is None:
            if now >= self._due:
                self._due = now + AGAIN_S
                self._connect()
            return
        try:
            if self._shaking:
                self._sock.do_handshake()
                self._shaking = False
                self._greet()
            self._receive()
            if self.here and not self._crowd.quiet and now >= self._due:
                self._due = now + self._random.expovariate(self._crowd.pace)
                self._act()
            self._flush()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock, self.here = None, False

    def _connect(self) -> None:
        relay = self._random.randrange(len(self._crowd.ports))
        self._in = self._out = b""
        try:
            raw = socket.create_connection(("127.0.0.1", self._crowd.ports[relay]), timeout=1.0)
        except OSError:
            return
        raw.setblocking(False)
        self._sock = self._crowd.context.wrap_socket(
            raw, server_hostname="localhost", do_handshake_on_connect=False
        )
        self._shaking = True
        self.hearing = Hearing(next(self._crowd.numbers), "", relay, self._echoes)

    def _receive(self) -> None:
        assert self._sock is not None
        try:
            while data := self._sock.recv(65_536):
                *lines, self._in = (self._in + data).split(b"\r\n")
                for line in lines:
                    self._take(Message.parse(line.decode()))
            raise ConnectionError
        except ssl.SSLWantReadError:
            pass

    def _send(self, *lines: str) -> None:
        self._out += "".join(f"{line}\r\n" for line in lines).encode()

    def _flush(self) -> None:
        assert self._sock is not None
        while self._out:
            self._out = self._out[self._sock.send(self._out) :]

    # ---- registration ----

    def _greet(self) -> None:
        caps = f"{CAPS} {ECHO}" if self._echoes else CAPS
        self._send(f"CAP REQ :{caps}")
        if self._account:
            chunks = authenticate_chunks(plain_response(self._account, PASSWORD))
            self._send("AUTHENTICATE PLAIN", *(f"AUTHENTICATE {chunk}" for chunk in chunks))
        self._give_nick()
        self._send(f"USER {self._name} 0 * :{self._name}", "CAP END")

    def _give_nick(self) -> None:
        nick = self._account or (f"{self._name}_{self._tries}" if self._tries else self._name)
        self.hearing.nick = nick
        self._send(f"NICK {nick}")

    # ---- what comes ----

    def _take(self, message: Message) -> None:
        hearing = self.hearing
        hearing.lines.append(f"{message.source or ''} {message.command} {' '.join(message.params)}")
        answered = hearing.said.get(message.tags.get("label", ""))
        if answered is None:
            answered = hearing.batches.get(message.tags.get("batch", ""))
        match message.command:
            case "PING":
                self._send(f"PONG :{message.params[-1]}")
            case "001":
                self.here = True
                self._due = time.monotonic() + self._random.expovariate(self._crowd.pace)
                self._send(f"JOIN {','.join(self._rooms)}")
            case "433" | "432" if not self.here:
                self._tries += 1
                self._give_nick()
            case "904":
                self._send("QUIT")  # the store is away: perhaps it is back by then
            case "FAIL" if not self.here and "RELAY_ISOLATED" in message.params:
                self._send("QUIT")  # perhaps another relay is none
            case "JOIN" if message.nick == hearing.nick:
                hearing.rooms.setdefault(message.params[0], [])
            case "NICK" if message.nick == hearing.nick:
                hearing.nick = message.params[0]
            case "PRIVMSG" if answered is not None:
                answered.acknowledged = True
                return
            case "PRIVMSG" if "batch" not in message.tags:  # else it is what was missed
                self._hear(message)
            case "BATCH" if answered is not None:
                hearing.batches[message.params[0][1:]] = answered
            case "ACK" if answered is not None:
                answered.acknowledged = True
            case "FAIL" | "401" | "403" | "404" if answered is not None:
                answered.refused = " ".join(message.params)

    def _hear(self, message: Message) -> None:
        target, text = message.params
        own = text in self.hearing.said
        msgid = message.tags["msgid"]
        self.hearing.texts[msgid] = text
        if own:
            self.hearing.said[text].acknowledged = True  # an echo
            return
        self.hearing.heard.append(msgid)
        if target in self.hearing.rooms:
            self.hearing.rooms[target].append(msgid)

    # ---- what people do ----

    def _act(self) -> None:
        chosen = self._random
        side, other = chosen.choice(SIDE_ROOMS), chosen.choice(self._crowd.names)
        room = chosen.choice(self._rooms)
        kind = chosen.random()
        if kind < 0.6:
            self._say(room)
        elif kind < 0.66:
            self._say(other)
        elif kind < 0.7:
            self._say(side)
        else:
            line = chosen.choice(
                [
                    f"JOIN {side}",
                    f"JOIN {side}",
                    f"JOIN {side}",
                    f"PART {side} :enough",
                    f"TOPIC {room} :{chosen.random()}",
                    f"AWAY :{chosen.random()}",
                    "AWAY",
                    f"KICK {side} {other} :out",
                    f"MODE {room} +v {other}",
                    f"MODE {side} +b {other}!*@*",
                    f"MODE {side} -b {other}!*@*",
                    f"MONITOR + {other}",
                    f"INVITE {other} {side}",
                    f"WHOIS {other}",
                    f"NAMES {room}",
                    f"TAGMSG {room}",
                    f"MARKREAD {room} timestamp=2030-01-01T00:00:00.000Z",
                    f"NICK {self._name}_{chosen.randrange(100)}" if not self._account else "LUSERS",
                    f"METADATA * SET status :{chosen.random()}",
                    "QUIT :again",
                ]
            )
            self._send(line)

    def _say(self, target: str) -> None:
        number = len(self.hearing.said)
        text = f"{self._crowd.name}-{self.hearing.number}-{number}"
        said = Said(text, target)
        if self._echoes:
            label = f"l{number}"
            self.hearing.said[label] = said
            self._send(f"@label={label} PRIVMSG {target} :{text}")
        else:
            self.hearing.said[text] = said
            self._send(f"PRIVMSG {target} :{text}")


class Crowd:
    """People on relays at some ports. Made, started and stopped by one thread.

    :param pace: what each does in a second, on average.
    """

    def __init__(
        self,
        ca_file: str,
        ports: Sequence[int],
        people: int,
        accounts: Sequence[str],
        seed: int,
        pace: float,
    ) -> None:
        self.name = f"{seed:x}"
        self.ports = ports
        self.pace = pace
        self.quiet = False
        self.numbers = count(1)
        self.context = ssl.create_default_context(cafile=ca_file)
        self.context.set_alpn_protocols(["irc"])
        self.hearings: list[Hearing] = []
        self._ending = False
        owners = [*accounts, *accounts]  # with two devices each
        owners += [""] * (people - len(owners))
        self.people = [
            Person(self, account or f"p{n}", account, seed + n) for n, account in enumerate(owners)
        ]
        self.names = [person._name for person in self.people]
        self._threads: list[Thread] = []
        self._crash: BaseException | None = None

    def start(self) -> None:
        for n in range(THREADS):
            self._threads.append(
                start_thread(f"crowd-{n}", lambda n=n: self._live(self.people[n::THREADS]))
            )

    def stop(self) -> list[Hearing]:
        """End all connections; return what each has heard."""
        self._ending = True
        for thread in self._threads:
            thread.join()
        if self._crash is not None:
            raise self._crash
        return self.hearings

    @property
    def here(self) -> int:
        """How many are in the chat, as far as they know."""
        return sum(person.here for person in self.people)

    def absent(self) -> str:
        """Return who is not in the chat, and what they have heard last."""
        return "\n".join(
            f"{person._name} on {person.hearing.relay}: {person.hearing.lines[-5:]}"
            for person in self.people
            if not person.here
        )

    @property
    def waiting(self) -> list[str]:
        """Who waits for an answer, and to what."""
        return [
            f"{person._name} on {person.hearing.relay}: {person.waits}, {person.hearing.lines[-9:]}"
            for person in self.people
            if person.waits
        ]

    def _live(self, people: Sequence[Person]) -> None:
        last: dict[Person, Hearing] = {}
        try:
            while not self._ending:
                now = time.monotonic()
                for person in people:
                    person.look(now)
                    hearing = getattr(person, "hearing", None)
                    if hearing is not None and last.get(person) is not hearing:
                        last[person] = hearing
                        self.hearings.append(hearing)
                time.sleep(PAUSE_S)
        except BaseException as error:
            self._crash = error
        finally:
            for person in people:
                person.close()
