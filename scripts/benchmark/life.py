"""A bit of everything that people do on a relay, at a steady rate, well and badly behaved."""

from __future__ import annotations

import http.client
import random
import secrets
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmark.crowd import LoadError, Target
from benchmark.talker import Hearing, Talker, multiline
from benchmark.web import WebTalker
from securechat.irc.message import Message

__all__ = ["READERS", "Life", "Ports"]

RESIDENTS: Final = 12
"""People who stay."""

ROOMS: Final = 4
NAMES: Final = 10_000
"""More than any part of a relay remembers."""

NAMES_A_LINE: Final = 40
READERS: Final = ("reader0", "reader1")
"""The two people who have a long conversation in the history."""

MOST_WAITING: Final = 100
"""Echoes that may be on their way before it is waited for them."""

LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""With it a closed socket is reset."""

GARBAGE: Final = (
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of a ClientHello
    bytes(range(256)),
)

PAGE: Final = 100
BEGINNING: Final = "timestamp=1970-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the relay listens, besides for IRC. Immutable."""

    web: int
    metrics: int


class Life:
    """People on a relay, and what they do. Owned by one process.

    :param seed: of who does what.
    """

    def __init__(self, target: Target, ports: Ports, seed: int, deadline: float) -> None:
        self._target = target
        self._ports = ports
        self._chance = random.Random(seed)
        self._deadline = deadline
        self._residents: list[Talker] = []
        self._hearing: dict[Talker, Hearing] = {}
        self._waiting: dict[str, str] = {}  # by label: the text whose echo is to come
        self._strangers = 0
        self._said = 0
        self._doing: dict[Callable[[], None], int] = {
            self._say: 600,
            self._react: 40,
            self._read_back: 60,
            self._search: 20,
            self._look_around: 40,
            self._change: 30,
            self._visit: 60,
            self._vanish: 40,
            self._knock: 40,
            self._drop_in: 20,
            self._mistake: 5,
            self._surf: 20,
            self._scrape: 10,
        }

    def begin(self) -> None:
        """Have all come who stay, with new accounts; half of them stay also when they leave."""
        for number in range(RESIDENTS):
            talker = self._enter(f"resident{number}", new=True)
            self._residents.append(talker)
            self._hearing[talker] = Hearing()
            talker.ask(*(f"JOIN {room}" for room in self._rooms))
            if number % 2:
                talker.ask("SET always-on on")

    def read_all(self, messages: int) -> None:
        """Have the readers' conversation read from its beginning: so many messages.

        One of them then asks for many people who are not there.
        """
        reader, other = (self._enter(nick, new=True) for nick in READERS)
        reference, read = BEGINNING, 0
        while page := reader.history(other.nick, reference, PAGE):
            reference, read = f"msgid={page[-1].msgid}", read + len(page)
        for first in range(0, NAMES, NAMES_A_LINE):
            names = (f"nobody{number}" for number in range(first, first + NAMES_A_LINE))
            other.ask(f"ISON {' '.join(names)}")
        reader.close()
        other.close()
        if read != messages:
            raise LoadError(f"the readers had {read} of {messages} messages")

    def live(self, seconds: float, per_s: int) -> Counter[str]:
        """Have so many things done each second; return how many there were of each kind."""
        began = time.monotonic()
        done: Counter[str] = Counter()
        doings, weights = list(self._doing), list(self._doing.values())
        number = 0
        while (due := began + number / per_s) < began + seconds:
            self._listen(due)
            (doing,) = self._chance.choices(doings, weights)
            doing()
            done[doing.__name__.strip("_").replace("_", " ")] += 1
            late = time.monotonic() - began
            number = max(number + 1, int(late * per_s))  # what cannot be done in time is not done
        while self._waiting:
            self._listen()
        return done

    def leave(self) -> None:
        """Have all go."""
        for talker in self._residents:
            talker.ask("SET always-on off")
            talker.send("QUIT")
            talker.close()
        self._residents.clear()

    def close(self) -> None:
        """Close all connections."""
        for talker in self._residents:
            talker.close()

    # ---- who there is ----

    @property
    def _rooms(self) -> list[str]:
        return [f"#room{number}" for number in range(ROOMS)]

    def _room(self) -> str:
        return self._chance.choice(self._rooms)

    def _resident(self) -> Talker:
        return self._chance.choice(self._residents)

    def _connect(self, nick: str) -> Talker:
        return Talker(self._target, nick, self._deadline)

    def _enter(self, nick: str, *, new: bool = False) -> Talker:
        talker = self._connect(nick)
        talker.enter(new=new)
        return talker

    def _stranger(self) -> str:
        """A nick that nobody has had."""
        self._strangers += 1
        return f"stranger{self._strangers}"

    def _guest(self) -> Talker:
        """Somebody without an account, in a room."""
        talker = self._connect(self._stranger())
        talker.visit()
        talker.ask(f"JOIN {self._room()}")
        return talker

    # ---- what the residents hear ----

    def _listen(self, until_s: float | None = None) -> None:
        """Take what comes for the residents, until then; or what comes next."""
        while True:
            left = (self._deadline if until_s is None else until_s) - time.monotonic()
            for talker in select.select(self._residents, [], [], max(0.0, left))[0]:
                self._hear(talker, talker.take())
            if left <= 0 or until_s is None:
                break
        if until_s is None and left <= 0:
            raise LoadError("an echo has not come")

    def _ask(self, talker: Talker, *lines: str) -> None:
        self._hear(talker, talker.ask(*lines))

    def _hear(self, talker: Talker, messages: list[Message]) -> None:
        for message in messages:
            if message.command in ("ERROR", "FAIL"):
                raise LoadError(f"{talker.nick}: the relay says: {message.to_line()}")
            said = self._hearing[talker].hear(message)
            if said is not None and said.label and self._waiting.pop(said.label) != said.text:
                raise LoadError(f"{talker.nick}: the echo is not what was said")

    # ---- what the residents do ----

    def _say(self) -> None:
        """Say something, in a room or to somebody; now and then of several lines."""
        while len(self._waiting) >= MOST_WAITING:
            self._listen()
        chance, talker = self._chance, self._resident()
        target = self._room() if chance.random() < 0.9 else self._resident().nick
        self._said += 1
        label = str(self._said)
        words = [f"word{chance.randrange(5000)}" for _ in range(chance.randint(1, 24))]
        text = self._waiting[label] = " ".join([label, *words])
        if chance.random() < 0.05:
            self._waiting[label] = "\n".join((text, text))
            talker.send(*multiline(target, (text, text), label))
        else:
            talker.send(f"@label={label} PRIVMSG {target} :{text}")

    def _react(self) -> None:
        """Type, mark as read, set a topic or a mode, watch for somebody."""
        room, number = self._room(), self._chance.randrange(1000)
        owner = self._residents[0]
        self._ask(
            owner,
            f"@+typing=active TAGMSG {room}",
            f"TOPIC {room} :topic {number}",
            f"MODE {room} +b *!*@{number}.example",
            f"MODE {room} -b *!*@{number}.example",
            f"MONITOR + somebody{number}",
            f"MONITOR - somebody{number}",
            f"AWAY :{number}",
            "AWAY",
        )

    def _read_back(self) -> None:
        """Read what was said in a room, or to somebody; also long ago."""
        before = f"timestamp={self._chance.randint(2000, 2039)}-01-01T00:00:00.000Z"
        self._ask(
            self._resident(),
            f"CHATHISTORY LATEST {self._room()} * {PAGE // 2}",
            f"CHATHISTORY BEFORE {self._resident().nick} {before} {PAGE // 2}",
        )

    def _search(self) -> None:
        """Search for a word, in all that one may read."""
        self._ask(self._resident(), f"SEARCH text=word{self._chance.randrange(5000)};limit=20")

    def _look_around(self) -> None:
        """Ask who and what there is."""
        nick = self._resident().nick
        lines = (f"WHO {self._room()}", f"NAMES {self._room()}", f"WHOIS {nick}", "LIST", "LUSERS")
        self._ask(self._resident(), *lines, f"WHOWAS stranger{self._strangers}")

    def _change(self) -> None:
        """Change the nick, and back."""
        talker = self._resident()
        other = f"{talker.nick}_{self._chance.randrange(1000)}"
        self._ask(talker, f"NICK {other}", f"NICK {talker.nick}")

    # ---- what others do ----

    def _visit(self) -> None:
        """Come, look into a new room, say something under another name, and leave."""
        guest = self._guest()
        room = f"#of-{guest.nick}"
        guest.ask(f"JOIN {room}", f"PRIVMSG {room} :anybody?", f"NICK {self._stranger()}")
        guest.ask(f"PRIVMSG {self._room()} :hello", f"PART {room}")
        guest.send("QUIT :bye")
        guest.close()

    def _vanish(self) -> None:
        """Come, and be gone without a word, with a reset, or with what nobody has read."""
        guest = self._guest()
        guest.send(*self._chance.choice(((), ("LIST", "WHO *"), (f"PRIVMSG {self._room()} :x",))))
        if self._chance.randrange(2):
            guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        elif self._chance.randrange(2):
            guest.write(b"PRIVMSG " + b"x" * self._chance.choice((10, 20_000)))
        guest.close()

    def _knock(self) -> None:
        """Connect, send what is no TLS, or nothing, and go."""
        with socket.create_connection(self._target.address) as sock:
            sock.sendall(self._chance.choice(GARBAGE))

    def _drop_in(self) -> None:
        """A second device of a resident comes, reads what was missed, and leaves."""
        device = self._enter(self._resident().nick)
        device.ask(f"CHATHISTORY LATEST {self._room()} * {PAGE}")
        device.ask(f"MARKREAD {self._room()} timestamp=2030-01-01T00:00:00.000Z")
        device.send("QUIT")
        device.close()

    def _mistake(self) -> None:
        """Log in with a wrong password."""
        talker = self._connect(self._resident().nick)
        talker.fail()
        talker.close()

    def _surf(self) -> None:
        """Come from a web page, and say something."""
        address = (self._target.address[0], self._ports.web)
        target = Target(
            self._target.family, address, self._target.hostname, self._target.ca, self._target.tls
        )
        guest = WebTalker(target, self._stranger(), self._deadline)
        guest.visit()
        room = self._room()
        guest.ask(f"JOIN {room}", f"PRIVMSG {room} :{secrets.token_hex(8)}")
        if self._chance.randrange(2):
            guest.send("QUIT")
        guest.close()

    def _scrape(self) -> None:
        """Ask for the figures, and whether all is well."""
        for path in ("/metrics", "/healthz"):
            asked = http.client.HTTPConnection("127.0.0.1", self._ports.metrics, timeout=10)
            asked.request("GET", path)
            answer = asked.getresponse()
            body = answer.read()
            asked.close()
            if answer.status != http.client.OK:
                raise LoadError(f"{path}: {answer.status}, {body[:100]!r}")
