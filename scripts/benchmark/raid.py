"""Connections of clients that mean harm, in one thread: what an attack is made of.

Unlike a crowd's they may be refused, closed and reset at any time; what befalls them is counted.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from benchmark.crowd import LoadError, Target, TlsClient
from securechat.net.tls import client_context

__all__ = ["Attack", "Raid", "Raider", "Tally"]

READ_BYTES: Final = 65_536

POLL_S: Final = 0.02
"""How often an attack may do what no event of a connection tells it to do."""

_ERROR: Final = re.compile(rb"ERROR :(?:Closing link: )?(.*)")

_ADDRESSES: Final = 250
"""Used of each 127.x.y.0/24."""


@dataclass(slots=True)
class Tally:
    """What an attack did, and what befell its connections.

    ``ended`` are those that the relay has ended, by the reason it gave; "" where none came.
    """

    opened: int = 0
    refused: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    lines_read: int = 0
    bytes_sent: int = 0


class Raider(TlsClient):
    """One connection of an attack. Owned by its raid; ``kept`` is the attack's own."""

    __slots__ = ("connected", "kept", "reason")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str, nick: str) -> None:
        super().__init__(sock, context, host, nick)
        self.connected = False
        self.reason = ""  # the relay's, for ending it
        self.kept = 0


class Attack:
    """What the connections of a raid do. This one registers them, with ``caps``, and no more.

    :ivar at_once: connections at a time; for one that is over there comes a new one.
    :ivar least: connections there must have been, before it ends.
    :ivar most: connections in all.
    :ivar options: of their sockets, as ``setsockopt`` takes them.
    """

    at_once: int = 4
    least: int = 1
    most: int = 1_000_000
    caps: str = ""
    options: tuple[tuple[int, int, int], ...] = ()

    def connected(self, raid: Raid, raider: Raider) -> None:
        """Go on with a TCP connection."""
        raid.shake_hands(raider)

    def shaken(self, raid: Raid, raider: Raider) -> None:
        """Go on with a TLS connection."""
        wanted = f"CAP REQ :{self.caps}\r\nCAP END\r\n" if self.caps else ""
        raid.say(raider, f"{wanted}NICK {raider.nick}\r\nUSER raid 0 * :raid\r\n".encode())

    def told(self, raid: Raid, raider: Raider, line: bytes) -> None:
        """Take a line from the relay."""
        if b" 001 " in line[:80]:
            self.welcomed(raid, raider)

    def welcomed(self, raid: Raid, raider: Raider) -> None:
        """Go on as somebody on the network."""

    def drained(self, raid: Raid, raider: Raider) -> None:
        """Take note that the socket has taken all that it was given."""

    def passed(self, raid: Raid) -> None:
        """Do what is due by the time: called every ``POLL_S`` at least."""


class Raid:
    """Makes one attack after the other. Owned by one thread.

    Every connection comes from a loopback address of its own, so far as there are enough.

    :param prefix: of all nicks; two letters.
    :param deadline: for all of them, by the monotonic clock.
    """

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self.raiders: dict[int, Raider] = {}  # by descriptor
        self._target = target
        self._prefix = prefix
        self._deadline = deadline
        self._context = client_context(target.ca)
        self._epoll = select.epoll()
        self._number = 0  # of the connections so far
        self._tally = Tally()

    def run(self, attack: Attack, seconds: float) -> Tally:
        """Make ``attack`` for so long, or until all its connections have come and gone.

        It takes longer where by then there has been no connection.
        """
        self._tally = Tally()
        end = time.monotonic() + seconds
        left = attack.most
        while left or self.raiders:
            now = time.monotonic()
            if now >= end and self._tally.opened >= attack.least:
                break
            if now >= self._deadline:
                raise LoadError("it took too long; --timeout gives it more")
            while left and len(self.raiders) < attack.at_once:
                self._open(attack)
                left -= 1
                if time.monotonic() >= end:
                    break
            attack.passed(self)
            for descriptor, events in self._epoll.poll(max(0.0, min(POLL_S, end - now))):
                raider = self.raiders.get(descriptor)
                if raider is not None:  # not ended by the one before
                    self._serve(attack, raider, events)
        for raider in list(self.raiders.values()):
            self.end(raider)
        return self._tally

    def close(self) -> None:
        """Make no more attacks."""
        self._epoll.close()

    # ---- for attacks ----

    def shake_hands(self, raider: Raider) -> None:
        """Begin a handshake, or go on with it."""
        try:
            raider.tls.do_handshake()
            raider.shaking = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._over(raider, error.reason or "TLS failed")
            return
        self.push(raider, raider.outgoing.read())

    def say(self, raider: Raider, data: bytes) -> None:
        """Encrypt and send ``data``; what the socket does not take follows later."""
        raider.tls.write(data)
        self.push(raider, raider.outgoing.read())

    def push(self, raider: Raider, data: bytes) -> None:
        """Send ``data`` as it is; what the socket does not take follows later."""
        raider.unsent += data
        if not raider.unsent:
            return
        try:
            sent = raider.socket.send(raider.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Why it was ended may have come before.
            self._read(raider)
            self._over(raider)
            return
        self._tally.bytes_sent += sent
        raider.unsent = raider.unsent[sent:]
        if raider.unsent:
            self._epoll.modify(raider.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def stop_reading(self, raider: Raider) -> None:
        """Take nothing any more that comes for ``raider``, who has nothing more to say."""
        self._epoll.modify(raider.socket.fileno(), 0)

    def end(self, raider: Raider) -> None:
        """End a connection without a word; nothing if it has ended."""
        if self.raiders.pop(raider.socket.fileno(), None) is not None:
            raider.socket.close()  # which the epoll notices

    # ---- inside ----

    def _open(self, attack: Attack) -> None:
        high, low = divmod(self._number, _ADDRESSES)
        nick = f"{self._prefix}{self._number}"
        self._number += 1
        sock = socket.socket(self._target.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            for option in attack.options:
                sock.setsockopt(*option)
            sock.bind((f"127.{1 + high // 256 % 250}.{high % 256}.{1 + low}", 0))
            sock.connect(self._target.address)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            self._tally.refused += 1
            return
        self.raiders[sock.fileno()] = Raider(sock, self._context, self._target.hostname, nick)
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _serve(self, attack: Attack, raider: Raider, events: int) -> None:
        if not raider.connected:
            self._connected(attack, raider)
            return
        if events & select.EPOLLOUT:
            if raider.unsent:
                self.push(raider, b"")
            if not raider.unsent and self._there(raider):
                self._epoll.modify(raider.socket.fileno(), select.EPOLLIN)
                attack.drained(self, raider)
        if events & ~select.EPOLLOUT and self._there(raider):
            was_shaking = raider.shaking
            open_still = self._read(raider)
            if was_shaking and not raider.shaking and self._there(raider):
                attack.shaken(self, raider)
            self._take_lines(attack, raider)
            if not open_still:
                self._over(raider)

    def _connected(self, attack: Attack, raider: Raider) -> None:
        if raider.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tally.refused += 1
            self.end(raider)
            return
        raider.connected = True
        self._tally.opened += 1
        self._epoll.modify(raider.socket.fileno(), select.EPOLLIN)
        attack.connected(self, raider)

    def _read(self, raider: Raider) -> bool:
        """Take what has come; return whether there may be more."""
        try:
            data = raider.socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        raider.incoming.write(data)
        if data and raider.shaking:
            self.shake_hands(raider)
        if not raider.shaking:
            try:
                while plain := raider.tls.read(READ_BYTES):
                    raider.tail += plain
            except ssl.SSLError:  # nothing more for now, or a goodbye
                pass
        return bool(data)

    def _take_lines(self, attack: Attack, raider: Raider) -> None:
        *lines, raider.tail = raider.tail.split(b"\r\n")
        self._tally.lines_read += len(lines)
        for line in lines:
            if line.startswith(b"ERROR"):
                self._note_reason(raider, line)
            elif self._there(raider):
                attack.told(self, raider, line)

    def _note_reason(self, raider: Raider, line: bytes) -> None:
        found = _ERROR.match(line)
        raider.reason = found[1].decode(errors="replace") if found is not None else "ERROR"

    def _over(self, raider: Raider, reason: str = "") -> None:
        """Take note that the relay has ended a connection."""
        if self._there(raider):
            for line in raider.tail.split(b"\r\n"):
                if line.startswith(b"ERROR"):
                    self._note_reason(raider, line)
            self._tally.ended[raider.reason or reason] += 1
            self.end(raider)

    def _there(self, raider: Raider) -> bool:
        return self.raiders.get(raider.socket.fileno()) is raider
