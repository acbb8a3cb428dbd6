"""Messages to a room, and the count of who has received how many: the hot loop of bench.py."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmark.crowd import TIME_DIGITS, Client, Crowd, LoadError

__all__ = ["MIN_TEXT_BYTES", "Exchange", "Receipts"]

MIN_TEXT_BYTES: Final = TIME_DIGITS + 1
"""The shortest text: the time at which it was sent, and a space."""

SAMPLED: Final = 8
"""Members of a crowd whose messages are read for the time in them; those of others are counted."""


@dataclass(frozen=True, slots=True)
class Receipts:
    """What a crowd has sent and received. Times are of the monotonic clock, in nanoseconds."""

    deliveries: int
    first_sent_ns: int
    last_received_ns: int
    latencies_ns: list[int]


class Exchange:
    """One crowd's part in sending messages to a room and receiving them. Owned by one thread.

    All senders are in the crowd that has ``upstream``: a socket from each of the other crowds, on
    which comes one byte for each message that all of its members have. The others have
    ``downstream``, their ends of these. A sender's own message counts as received when it is sent.

    In flight are the messages that not all members have yet. There are never more than ``window``.
    """

    def __init__(
        self,
        crowd: Crowd,
        channel: str,
        *,
        senders: int,
        window: int,
        text_bytes: int,
        upstream: Sequence[socket.socket] = (),
        downstream: socket.socket | None = None,
    ) -> None:
        members = list(crowd.clients.values())
        self._crowd = crowd
        self._senders = members[:senders]
        listeners = members[senders:] or members
        step = max(1, len(listeners) // SAMPLED)
        self._sampled = frozenset(listeners[::step][:SAMPLED])
        self._head = f"PRIVMSG {channel} :"
        self._filler = "x" * (text_bytes - MIN_TEXT_BYTES)
        self._window = window
        self._upstream = {sock.fileno(): sock for sock in upstream}
        self._downstream = downstream
        for sock in upstream:
            sock.setblocking(False)
            crowd.epoll.register(sock.fileno(), select.EPOLLIN)

    def run(self, total: int) -> Receipts:
        """Send ``total`` messages, if there are senders here, and receive ``total``."""
        # Bound to names once: what follows runs for every read of every member.
        crowd, clients, sampled = self._crowd, self._crowd.clients, self._sampled
        receive, plain = crowd.receive, crowd.plain
        for client in clients.values():
            client.got = 0
        at = [0] * (total + 1)  # how many members have received so many messages
        at[0] = len(clients)
        least = sent = 0
        others = dict.fromkeys(self._upstream, 0)
        deliveries = 0
        latencies: list[int] = []
        first_sent = time.monotonic_ns()
        while True:
            if self._senders:
                acknowledged = min(least, *others.values()) if others else least
                free = min(self._window - (sent - acknowledged), total - sent)
                if free > 0:
                    self._send(sent, free, at)
                    sent += free
                    while not at[least]:
                        least += 1
            if least == total and all(count == total for count in others.values()):
                break
            for descriptor, events in crowd.poll():
                client = clients.get(descriptor)
                if client is None:
                    others[descriptor] += self._progress(descriptor)
                    continue
                if events & select.EPOLLOUT:
                    crowd.flush(client)
                if not receive(client):
                    continue
                lines = 0
                try:
                    while size := client.tls.read(65_536, plain):
                        if client in sampled:
                            lines += crowd.times(client, plain[:size], latencies)
                        else:
                            lines += plain.count(b"\n", 0, size)
                            if plain.find(b"PING ", 0, size) >= 0:
                                lines -= self._answer(client, plain[:size])
                        if not client.incoming.pending and not client.tls.pending():
                            break
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    raise LoadError(f"{client.nick}: TLS failed: {error}") from error
                if not lines:
                    continue
                before = client.got
                client.got = after = before + lines
                if after > total:
                    raise LoadError(f"{client.nick}: received more than was sent")
                deliveries += lines
                at[before] -= 1
                at[after] += 1
                if before == least and not at[before]:
                    while not at[least]:
                        least += 1
                    if self._downstream is not None:
                        self._downstream.send(b"\0" * (least - before))
        return Receipts(deliveries, first_sent, time.monotonic_ns(), latencies)

    def _send(self, sent: int, count: int, at: list[int]) -> None:
        """Send ``count`` messages, the senders taking turns, each in one piece."""
        lines: dict[Client, list[str]] = {}
        for number in range(sent, sent + count):
            sender = self._senders[number % len(self._senders)]
            line = f"{self._head}{time.monotonic_ns():0{TIME_DIGITS}x} {self._filler}\r\n"
            lines.setdefault(sender, []).append(line)
        for sender, own in lines.items():
            at[sender.got] -= 1
            sender.got += len(own)
            at[sender.got] += 1
            self._crowd.send(sender, "".join(own).encode())

    def _answer(self, client: Client, data: bytes) -> int:
        """Answer the PINGs among the lines of ``data``; return how many there are."""
        pings = [line for line in data.split(b"\n") if line.startswith(b"PING ")]
        for line in pings:
            self._crowd.line(client, line.rstrip(b"\r"))
        return len(pings)

    def _progress(self, descriptor: int) -> int:
        found = len(self._upstream[descriptor].recv(4096))
        if not found:
            raise LoadError("a load process has ended")
        return found
