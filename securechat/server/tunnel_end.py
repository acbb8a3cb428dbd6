"""One end of a tunnel: the connection of one device, whose bytes go to that of another.

A turn of an I/O thread reads at most ``RECEIVE_BYTES`` from each end. To decrypt that, and encrypt
it again for the other side, takes some 0.2 ms (CPython 3.11, OpenSSL 3.0): so much a chat line
waits for each end of its thread that has something to read. A turn finds only what has come since
the last one, so it gets long only when more comes than the thread can pass on, some 300 MB/s; and
what comes of one account is limited (``[peers]``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from securechat.errors import NetworkError
from securechat.irc.peering import REFUSED, TUNNEL_LINE_BYTES
from securechat.net.connection import RECEIVE_BYTES, Connection
from securechat.net.timers import Timer
from securechat.server.admission import Seat
from securechat.server.tunnels import Tunnel, Tunnels

__all__ = ["FIRST_LINE_S", "HIGH_WATER_BYTES", "SEND_LIMIT_BYTES", "TunnelEnd"]

_log = logging.getLogger(__name__)

FIRST_LINE_S: Final = 10.0
"""How long an end may take to say its token, in seconds: it has it, and says it unasked."""

HIGH_WATER_BYTES: Final = 262_144
"""Of what one side has sent, how much may wait for the other before the relay reads no more from
it: a few reads, so that the two need not take turns."""

SEND_LIMIT_BYTES: Final = 2 * (HIGH_WATER_BYTES + RECEIVE_BYTES)
"""What may wait for one side, whatever that of chats may be: never reached, as the other side is
not read from before, at ``HIGH_WATER_BYTES`` and what one read is over it; TLS adds a little."""


class TunnelEnd:
    """The handler of a connection that is an end of a tunnel. Owned by its I/O thread.

    It says its token, waits for the other side, and then is read from as long as the other side
    takes what it sends: of that, ``HIGH_WATER_BYTES`` and one read may wait in memory. What it
    sends before it is told that the other side is there is kept, up to one read.
    """

    __slots__ = (
        "_asked",
        "_held",
        "_other",
        "_over",
        "_reason",
        "_seat",
        "_seen",
        "_throttle",
        "_timer",
        "_tunnel",
        "_tunnels",
        "_untaken_bytes",
        "connection",
    )

    def __init__(self, connection: Connection, seat: Seat, tunnels: Tunnels) -> None:
        self.connection = connection
        self._seat = seat
        self._tunnels = tunnels
        self._tunnel: Tunnel | None = None  # once the token was good
        self._other: Connection | None = None  # while the two are joined
        self._over = False  # nothing that comes counts any more
        self._reason = ""  # why we have closed it, for the log
        self._held = b""  # the first line, then what came behind it
        self._untaken_bytes = 0  # sent to the other side, and maybe not taken by its socket yet
        self._asked = False  # to be told when it has been
        self._seen = connection.thread.clock()  # when something came or went
        self._timer: Timer | None = None
        self._throttle: Timer | None = None
        connection.send_limit_bytes = SEND_LIMIT_BYTES

    # ---- what the connection tells ----

    def opened(self) -> None:
        """Begin to wait for the token."""
        if self._seat.refusal:
            self._refuse(self._seat.refusal)
        else:
            self._set_timer(FIRST_LINE_S, lambda: self._refuse("No token came"))

    def received(self, data: bytes) -> None:
        """Pass it on, or look for the token."""
        if self._over:
            return
        if self._other is not None:
            self._pass_on(data)
            return
        self._held += data
        if self._tunnel is None:
            self._read_token()
        else:
            self.connection.pause_reading()

    def closed(self, error: NetworkError | None) -> None:
        """Let the other side be closed too."""
        self._end()
        self._seat.leave()
        tunnel, self._tunnel = self._tunnel, None  # which knows us: nothing is to stay of the two
        if tunnel is not None:
            reason = self._reason or (str(error) if error is not None else "closed")
            self._tunnels.left(tunnel, self, reason)

    # ---- what the tunnel tells; on our thread ----

    def joined(self, other: Connection) -> None:
        """Pass on, from now on, what comes; what has come is the first."""
        if self._over:
            return
        self._other = other
        self._seen = self.connection.thread.clock()
        self._set_timer(self._tunnels.idle_s, self._check_idle)
        held, self._held = self._held, b""
        if held:
            self._pass_on(held)
        self._read_or_not()

    def drain(self) -> None:
        """Close as soon as all is out that the other side has sent: it has gone."""
        if self._over:
            return
        self._end()
        self._set_timer(self._tunnels.idle_s, self.connection.finish)
        self.connection.pause_reading()
        self.connection.when_sent(self.connection.finish)

    def leave(self, reason: str) -> None:
        """Close: the tunnel is over. Who was waiting for the other side is told why."""
        if self._over:
            return
        if self._other is None:
            self._refuse(reason)
        else:
            self._reason = reason
            self.connection.finish()

    def leave_soon(self, delay_s: float, reason: str) -> None:
        """Close after a while, unless the two have done so themselves."""
        if not self._over:
            self.connection.thread.call_later(delay_s, lambda: self.leave(reason))

    # ---- inside ----

    def _read_token(self) -> None:
        token, end, rest = self._held.partition(b"\n")
        if len(token) > TUNNEL_LINE_BYTES:
            self._refuse("This is no token")
        elif end:
            self._held = rest
            self._enter(token)

    def _enter(self, token: bytes) -> None:
        found = self._tunnels.enter(token, self._seat.address, self)
        if isinstance(found, str):
            self._refuse(found)
            return
        self._tunnel = found
        wait_s = found.deadline - self.connection.thread.clock()
        self._set_timer(wait_s, lambda: self._refuse("The other side has not come"))
        if self._held:
            self.connection.pause_reading()

    def _refuse(self, text: str) -> None:
        self._reason = text
        _log.info("refused a tunnel to %s: %s", self._seat.address, text)
        self.connection.queue(REFUSED + f" {text}\n".encode())
        self.connection.finish()

    def _pass_on(self, data: bytes) -> None:
        assert self._other is not None
        assert self._tunnel is not None
        self._other.send(data)
        self._untaken_bytes += len(data)
        if not self._asked:
            self._ask()
        wait_s = self._tunnels.passed(self._tunnel, self, len(data))
        if wait_s:
            self._throttle = self.connection.thread.call_later(wait_s, self._go_on)
        self._seen = self.connection.thread.clock() + wait_s  # who is made to wait is not idle
        self._read_or_not()

    def _ask(self) -> None:
        """Ask to be told when the other side's socket has taken what was sent up to now."""
        assert self._other is not None
        self._asked = True
        taken = partial(self._taken, self._untaken_bytes)
        self._other.when_sent(partial(self.connection.thread.post, taken))

    def _taken(self, size: int) -> None:
        self._asked = False
        if self._other is None:
            return
        self._untaken_bytes -= size
        self._seen = max(self._seen, self.connection.thread.clock())
        if self._untaken_bytes:
            self._ask()
        self._read_or_not()

    def _go_on(self) -> None:
        self._throttle = None
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._throttle is None and self._untaken_bytes <= HIGH_WATER_BYTES:
            self.connection.resume_reading()
        else:
            self.connection.pause_reading()

    def _check_idle(self) -> None:
        silent_s = self.connection.thread.clock() - self._seen
        if silent_s >= self._tunnels.idle_s:
            self._reason = f"silent for {silent_s:.0f} seconds"
            self.connection.finish()
        else:
            self._set_timer(self._tunnels.idle_s - silent_s, self._check_idle)

    def _set_timer(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.connection.thread.call_later(delay_s, callback)

    def _end(self) -> None:
        self._over = True
        self._other = None
        self._held = b""
        for timer in (self._timer, self._throttle):
            if timer is not None:
                timer.cancel()
