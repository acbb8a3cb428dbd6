"""The attacks on a relay: each goes on for as long as it is let."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import random
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from benchmark.raid import Attack, Raid, Raider

__all__ = ["ACCOUNT", "ATTACKS", "BIG_ROOM", "CONTROL", "OLD_ROOM"]

BIG_ROOM: Final = "#all"
"""The audience is all in here, and says nothing here."""

OLD_ROOM: Final = "#old"
"""Has a long history, and nobody of the audience in it but one."""

ACCOUNT: Final = "victim"
"""An account that there is."""

CONTROL: Final = "busy"
"""Not an attack: a process that is as busy as those, and leaves the relay alone."""

COMMANDS: Final = 28
"""In a volley. With those of the registration they are fewer than a client may give at once."""

CHUNK_BYTES: Final = 65_536
HANDSHAKES: Final = 1_000
DRIPS: Final = 200
LOGINS: Final = 1_000
TRIES: Final = 4
"""Wrong passwords on one connection: one more closes it."""
ROOMS: Final = 500
ROOMS_A_LINE: Final = 50


class _Busy(Attack):
    at_once = least = 0
    most = 1

    def passed(self, raid: Raid) -> None:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass


class _Volleys(Attack):
    """As many commands as the relay does at once; then somebody else comes with as many more."""

    def __init__(self, make: Callable[[str], str], caps: str = "", at_once: int = 4) -> None:
        self._make = make
        self.caps = caps
        self.at_once = at_once

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        raid.say(raider, f"{self._make(raider.nick)}\r\nPING over\r\n".encode())

    def told(self, raid: Raid, raider: Raider, line: bytes) -> None:
        if b" PONG " in line[:80]:
            raid.end(raider)
        else:
            super().told(raid, raider, line)


class _Torrent(Attack):
    """As much as the relay takes from everybody, until it ends the connection."""

    def __init__(self, data: bytes, first: bytes = b"") -> None:
        self._first = first
        self._data = data

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        raid.say(raider, self._first + self._data)
        raider.kept = 1

    def drained(self, raid: Raid, raider: Raider) -> None:
        if raider.kept:
            raid.say(raider, self._data)

    def passed(self, raid: Raid) -> None:
        for raider in list(raid.raiders.values()):
            if raider.kept and not raider.unsent:
                raid.say(raider, self._data)


class _Drip(Attack):
    """One byte each second: every other connection of its handshake, the rest of a command."""

    at_once = most = DRIPS
    _due_s = 0.0

    def connected(self, raid: Raid, raider: Raider) -> None:
        if raider.socket.fileno() % 2:
            raid.shake_hands(raider)
        else:
            raider.kept = -1

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        raider.kept = 1

    def passed(self, raid: Raid) -> None:
        now = time.monotonic()
        if now < self._due_s:
            return
        self._due_s = now + 1
        for raider in list(raid.raiders.values()):
            if raider.kept > 0:
                raid.say(raider, b"x")
            elif raider.kept < 0:
                raid.push(raider, b"\x16\x03\x01\x02\x00\x01"[-1 - raider.kept :][:1])
                raider.kept -= 1


class _Handshakes(Attack):
    """Begun and left: of three connections one says nothing, one a ClientHello, one nonsense."""

    at_once = most = HANDSHAKES

    def __init__(self) -> None:
        self._turn = itertools.cycle(range(3))

    def connected(self, raid: Raid, raider: Raider) -> None:
        match next(self._turn):
            case 0:
                raid.shake_hands(raider)
                raid.stop_reading(raider)
            case 1:
                raid.push(raider, random.Random(1).randbytes(300))


class _Visits(Attack):
    """Handshakes that are done, and the connections dropped at once."""

    at_once = 8

    def shaken(self, raid: Raid, raider: Raider) -> None:
        raid.end(raider)


class _Logins(Attack):
    """Wrong passwords: by turns PLAIN and SCRAM, for an account that there is and for others."""

    at_once = 50
    most = LOGINS // TRIES

    def shaken(self, raid: Raid, raider: Raider) -> None:
        raid.say(raider, b"CAP REQ :sasl\r\n" + self._begin(raider))  # and never registers

    def told(self, raid: Raid, raider: Raider, line: bytes) -> None:
        words = line.split(b" ")
        if words[0] == b"AUTHENTICATE" or words[1:2] == [b"AUTHENTICATE"]:
            raid.say(raider, self._response(raider, words[-1]))
        elif words[1:2] == [b"904"]:
            raider.kept += 1
            if raider.kept == TRIES:
                raid.end(raider)
            else:
                raid.say(raider, self._begin(raider))

    def _begin(self, raider: Raider) -> bytes:
        return b"AUTHENTICATE PLAIN\r\n" if raider.kept % 2 else b"AUTHENTICATE SCRAM-SHA-256\r\n"

    def _response(self, raider: Raider, challenge: bytes) -> bytes:
        account = raider.nick if raider.kept % 4 > 1 else ACCOUNT
        if raider.kept % 2:
            answer = f"\0{account}\0wrong".encode()
        elif challenge == b"+":
            answer = f"n,,n={account},r=nonce".encode()
        else:
            answer = self._proof(challenge)
        return b"AUTHENTICATE " + base64.b64encode(answer) + b"\r\n"

    def _proof(self, challenge: bytes) -> bytes:
        nonce = base64.b64decode(challenge).split(b",")[0]
        proof = hmac.digest(b"wrong", nonce, hashlib.sha256)
        return b"c=biws," + nonce + b",p=" + base64.b64encode(proof)


class _Unread(Attack):
    """Great answers that are asked for, and not read."""

    at_once = most = 40
    caps = "batch message-tags server-time draft/chathistory"
    options = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        ask = f"CHATHISTORY LATEST {OLD_ROOM} * 100\r\nWHO *\r\nLIST\r\n"
        raid.say(raider, f"JOIN {OLD_ROOM}\r\n{ask * (COMMANDS // 3)}".encode())
        if not raider.unsent:
            raid.stop_reading(raider)


def _each(line: str) -> Callable[[str], str]:
    """Return what makes a volley of one command; ``{nick}`` and ``{number}`` are put in."""

    def make(nick: str) -> str:
        return "\r\n".join(line.format(nick=nick, number=number) for number in range(COMMANDS))

    return make


def _old(line: str) -> Callable[[str], str]:
    """As ``_each``, by a member of the old room."""
    make = _each(line)
    return lambda nick: f"JOIN {OLD_ROOM}\r\n{make(nick)}"


def _big(line: str) -> Callable[[str], str]:
    """As ``_each``, by a member of the big room."""
    make = _each(line)
    return lambda nick: f"JOIN {BIG_ROOM}\r\n{make(nick)}"


def _rooms(nick: str) -> str:
    lines = []
    for start in range(0, ROOMS, ROOMS_A_LINE):
        names = ",".join(f"#{nick}{number}" for number in range(start, start + ROOMS_A_LINE))
        lines += [f"JOIN {names}", f"PART {names}"]
    return "\r\n".join(lines)


def _monitors(nick: str) -> str:
    lines = []
    for start in range(0, 100, 25):
        names = ",".join(f"{nick}x{number}" for number in range(start, start + 25))
        lines += [f"MONITOR + {names}", "MONITOR S", "MONITOR L", f"MONITOR - {names}"]
    return "\r\n".join(lines)


def _batches(nick: str) -> str:
    # A line of a batch counts as an eighth of a command.
    lines = []
    for number in range(COMMANDS // 6):
        lines.append(f"BATCH +{number} draft/multiline {BIG_ROOM}")
        lines += 31 * [f"@batch={number} NOTICE {BIG_ROOM} :{'words ' * 20}"]
        lines.append(f"BATCH -{number}")
    return f"JOIN {BIG_ROOM}\r\n" + "\r\n".join(lines)


# What is said to rooms are notices, which cost what messages do: the audience counts messages.
_SAID: Final = f"NOTICE {BIG_ROOM} :{'spam ' * 20}\r\n".encode()
_HISTORY_CAPS: Final = "batch message-tags server-time draft/chathistory soju.im/search"

_CAPS_ON_AND_OFF: Final = (
    "CAP REQ :echo-message server-time\r\nCAP REQ :-echo-message -server-time\r\n"
)

_NONSENSE: Final = b"".join(
    (
        b"FROBNICATE now\r\n",
        b"\xff\xfe\x00\xc0\r\n",
        b":\r\n",
        b"@\r\n",
        b"PRIVMSG\r\n",
        b"x\0y\r\n",
    )
)

ATTACKS: Final[Mapping[str, tuple[str, Callable[[], Attack]]]] = {
    CONTROL: ("a process beside that is only busy", _Busy),
    "flood": (
        "notices to all, as fast as TCP takes them",
        lambda: _Torrent(_SAID * (CHUNK_BYTES // len(_SAID)), f"JOIN {BIG_ROOM}\r\n".encode()),
    ),
    "nonsense": (
        "lines that are no commands",
        lambda: _Torrent(_NONSENSE * (CHUNK_BYTES // len(_NONSENSE))),
    ),
    "overlong": (
        "lines of 600 bytes",
        lambda: _Torrent((b"PING " + b"x" * 594 + b"\n") * (CHUNK_BYTES // 600)),
    ),
    "endless": ("a line that does not end", lambda: _Torrent(b"x" * CHUNK_BYTES)),
    "drip": (f"{DRIPS} connections, a byte each second", _Drip),
    "handshakes": (f"{HANDSHAKES:,} handshakes, begun and left", _Handshakes),
    "visits": ("handshakes done, connections dropped", _Visits),
    "logins": (f"{LOGINS:,} wrong passwords, from many addresses", _Logins),
    "rooms": (f"{ROOMS} rooms joined and parted, again and again", lambda: _Volleys(_rooms)),
    "comings": (
        "joins of a room, and connections dropped",
        lambda: _Volleys(lambda _: f"JOIN {BIG_ROOM}"),
    ),
    "nicks": ("nicks changed before all", lambda: _Volleys(_big("NICK {nick}n{number}"))),
    "tags": (
        "typing, told to all",
        lambda: _Volleys(_big(f"@+typing=active TAGMSG {BIG_ROOM}"), "message-tags"),
    ),
    "batches": (
        "messages of 31 lines to all",
        lambda: _Volleys(_batches, "batch message-tags draft/multiline"),
    ),
    "who": ("WHO *", lambda: _Volleys(_each("WHO *"))),
    "list": ("LIST", lambda: _Volleys(_each("LIST"))),
    "names": ("NAMES of the largest room", lambda: _Volleys(_each(f"NAMES {BIG_ROOM}"))),
    "whois": ("WHOIS of somebody in many rooms", lambda: _Volleys(_each("WHOIS {nick}"))),
    "history": (
        "CHATHISTORY of a long history",
        lambda: _Volleys(_old(f"CHATHISTORY LATEST {OLD_ROOM} * 100"), _HISTORY_CAPS),
    ),
    "search": ("SEARCH of it", lambda: _Volleys(_old("SEARCH text=words"), _HISTORY_CAPS)),
    "metadata": (
        "METADATA SYNC",
        lambda: _Volleys(
            _big(f"METADATA {BIG_ROOM} SYNC"), "batch standard-replies draft/metadata-2"
        ),
    ),
    "monitor": ("MONITOR of 100 nicks", lambda: _Volleys(_monitors)),
    "redact": (
        "REDACT of messages that there are not",
        lambda: _Volleys(
            _old(f"REDACT {OLD_ROOM} nothing{{number}}"),
            "message-tags standard-replies draft/message-redaction",
        ),
    ),
    "caps": (
        "capabilities on and off",
        lambda: _Volleys(lambda nick: COMMANDS // 2 * _CAPS_ON_AND_OFF),
    ),
    "unread": ("great answers that are not read", _Unread),
}
"""By name: what it is, and what makes it."""
