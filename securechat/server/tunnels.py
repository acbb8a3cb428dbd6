"""The tunnels: who may have one, who has come for it, how much has passed.

For two devices that have no direct way to each other; "The tunnel" in ``irc.peering`` says what is
spoken, ``tunnel_end`` speaks it. Here is what the ends have in common, which may be of different
I/O threads. Of several relays one has both ends, whichever relay their sessions are at; each counts
its own tunnels.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.irc.peering import JOINED
from securechat.net.limits import TokenBucket
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.server.cloak import network_of
from securechat.server.config import PeersConfig
from securechat.server.events import SessionId

if TYPE_CHECKING:
    from securechat.server.tunnel_end import TunnelEnd

__all__ = ["BURST_S", "FAREWELL_S", "TOKEN_S", "WRONG_TOKENS", "Tunnel", "TunnelStatus", "Tunnels"]

_log = logging.getLogger(__name__)

TOKEN_S: Final = 30.0
"""How long a token is good, in seconds. Both sides are told theirs at once, and are waiting."""

FAREWELL_S: Final = 5.0
"""How long a tunnel outlives a session that it belongs to, in seconds. A client that ends says so
to the relay and to its peers at once; what it says to these goes two steps further."""

_SESSION_ENDED: Final = "A session has ended"

BURST_S: Final = 0.1
"""What an account that was quiet may send at once, in seconds of its rate: enough for some reads,
so that who keeps below the rate need not wait; and little, as a first tunnel has it anew."""

WRONG_TOKENS: Final = 10
"""Tokens that were not good (any more) from one address, at once, and then in each minute. Nobody
guesses 256 bits; but neither is anybody to try it all day."""

WRONG_ADDRESSES: Final = 10_000
"""Addresses whose wrong tokens are counted; then the oldest is forgotten."""


@dataclass(slots=True, eq=False)
class Tunnel:
    """A tunnel that was granted. Guarded by the lock of ``Tunnels``, but for what never changes:
    all but ``ends`` (once both are there, they stay) and ``passed``.
    """

    accounts: tuple[str, str]
    sessions: tuple[SessionId, SessionId]
    keys: tuple[bytes, bytes]  # the hashes of the tokens
    deadline: float  # for both to be there, in seconds of the clock
    ends: list[TunnelEnd | None] = field(default_factory=lambda: [None, None])
    passed: list[int] = field(default_factory=lambda: [0, 0])  # bytes from each side


class TunnelStatus(NamedTuple):
    """What the tunnels are doing; ``bytes`` have passed since the relay was started."""

    tunnels: int
    ends: int
    bytes: int


@dataclass(slots=True)
class _Account:
    """What an account has of tunnels. Guarded by the lock of ``Tunnels``."""

    free_at: float  # when all that has passed would have, at just the rate allowed
    tunnels: int = 0

    def spend(self, now: float, cost_s: float) -> float:
        """Count what takes ``cost_s`` at the rate allowed; return for how long nothing may pass."""
        self.free_at = max(self.free_at, now) + cost_s
        return max(0.0, self.free_at - now - BURST_S)


class Tunnels:
    """All tunnels of the relay. Safe from any thread (own lock, tier 1).

    :param clock: the clock of the I/O threads.
    """

    def __init__(self, config: PeersConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._lock = make_lock("Tunnels", tier=1)  # guards all that follows
        self._tunnels: set[Tunnel] = set()
        self._tokens: dict[bytes, tuple[Tunnel, int]] = {}  # hash: tunnel and side; oldest first
        self._of_session: dict[SessionId, set[Tunnel]] = {}
        self._accounts: dict[str, _Account] = {}
        self._wrong: OrderedDict[str, TokenBucket] = OrderedDict()  # by address
        self._bytes = 0
        self._stopped = False

    @property
    def idle_s(self) -> float:
        """How long a tunnel may be without a byte, in seconds."""
        return self._config.tunnel_idle_s

    def configure(self, config: PeersConfig) -> None:
        """Go by other limits from now on; tunnels that there are stay."""
        self._config = config

    # ---- for the sessions ----

    def grant(
        self,
        session_a: SessionId,
        account_a: str,
        session_b: SessionId,
        account_b: str,
        token_a: str,
        token_b: str,
    ) -> str:
        """Let two sessions meet, who come with these tokens; or return why not.

        A token is worth one use, within ``TOKEN_S``. Safe under the network lock.
        """
        accounts = (account_a, account_b)
        now = self._clock()
        tunnel = Tunnel(
            accounts, (session_a, session_b), (_hash(token_a), _hash(token_b)), now + TOKEN_S
        )
        with self._lock:
            self._forget_late_locked(now)
            if not self._config.enabled or self._stopped:
                return "This relay has no tunnels"
            for account in accounts:
                found = self._accounts.get(account)
                if found is not None and found.tunnels >= self._config.tunnels_per_account:
                    # Not which of the two: that would tell one of the other's sessions.
                    return "One of the two has as many tunnels as an account may have"
            self._add_locked(tunnel, now)
        return ""

    def take_back(self, token: str) -> None:
        """Forget the tunnel of that token, of which nobody was told. Safe under the network lock.

        Does nothing if that has been done, or the token is too old.
        """
        with self._lock:
            tunnel, _ = self._tokens.get(_hash(token), (None, 0))
            if tunnel is not None:
                self._remove_locked(tunnel)

    def session_ended(self, session: SessionId) -> None:
        """Close the tunnels of a session, which may be at another relay, and is over or is no
        device any more; what it has of tokens is good no longer. Safe under the network lock.

        Where both sides are there, they may be saying goodbye: it is closed ``FAREWELL_S`` later.
        """
        with self._lock:
            found = list(self._of_session.get(session, ()))
            joined = [tunnel for tunnel in found if all(tunnel.ends)]
            over = [tunnel for tunnel in found if tunnel not in joined]
            for tunnel in over:
                self._remove_locked(tunnel)
        self._close(over, _SESSION_ENDED)
        for tunnel in joined:
            end = tunnel.ends[0]
            if end is not None:
                end.connection.thread.post(partial(end.leave_soon, FAREWELL_S, _SESSION_ENDED))

    # ---- for the relay ----

    def stop(self) -> None:
        """Close all, and grant no more."""
        with self._lock:
            self._stopped = True
            over = list(self._tunnels)
            for tunnel in over:
                self._remove_locked(tunnel)
        self._close(over, "The relay stops")

    def snapshot(self) -> TunnelStatus:
        """Return what there is at this moment; tunnels that were granted, not all of them used."""
        with self._lock:
            ends = sum(end is not None for tunnel in self._tunnels for end in tunnel.ends)
            return TunnelStatus(len(self._tunnels), ends, self._bytes)

    # ---- for the ends ----

    def enter(self, token: bytes, address: str, end: TunnelEnd) -> Tunnel | str:
        """Return the tunnel that ``token`` opens for an end, or why there is none.

        When both ends are there, both are told. Not under any lock.
        """
        now = self._clock()
        key = hashlib.sha256(token).digest()
        with self._lock:
            self._forget_late_locked(now)
            wrong = self._wrong.get(network_of(address))
            if wrong is not None and not wrong.ready(now):
                return "Too many wrong tokens from your address"
            tunnel, side = self._tokens.pop(key, (None, 0))
            if tunnel is None:
                self._count_wrong_locked(network_of(address), now)
                return "This token is not good, or no longer"
            tunnel.ends[side] = end
            other = tunnel.ends[1 - side]
        if other is not None:
            self._join(tunnel, end, other)
        return tunnel

    def passed(self, tunnel: Tunnel, end: TunnelEnd, size: int) -> float:
        """Count bytes that have come from an end; return the seconds for which to read no more."""
        rate = self._config.tunnel_bytes_per_s
        now = self._clock()
        with self._lock:
            if tunnel not in self._tunnels:
                return 0.0
            tunnel.passed[tunnel.ends.index(end)] += size
            self._bytes += size
            if not rate:
                return 0.0
            accounts = [self._accounts[name] for name in {*tunnel.accounts}]
            return max(account.spend(now, size / rate) for account in accounts)

    def left(self, tunnel: Tunnel, end: TunnelEnd, reason: str) -> None:
        """Take note that an end is gone: the other side is sent the rest, then it is over."""
        with self._lock:
            if tunnel not in self._tunnels:
                return
            self._remove_locked(tunnel)
        side = tunnel.ends.index(end)
        other = tunnel.ends[1 - side]
        if other is not None:
            other.connection.thread.post(other.drain)
            self._log_closed(tunnel, f"{tunnel.accounts[side]}: {reason}")

    # ---- inside ----

    def _join(self, tunnel: Tunnel, end: TunnelEnd, other: TunnelEnd) -> None:
        # Both are told before either may send: nothing must come before that.
        for each in (end, other):
            each.connection.send(JOINED + b"\n")
        end.connection.thread.post(partial(end.joined, other.connection))
        other.connection.thread.post(partial(other.joined, end.connection))
        _log.info("tunnel between %s and %s opened", *tunnel.accounts)

    def _close(self, over: Iterable[Tunnel], reason: str) -> None:
        for tunnel in over:
            for end in tunnel.ends:
                if end is not None:
                    end.connection.thread.post(partial(end.leave, reason))
            if all(tunnel.ends):
                self._log_closed(tunnel, reason)

    def _log_closed(self, tunnel: Tunnel, reason: str) -> None:
        text = "tunnel between %s and %s closed after %d and %d bytes: %s"
        _log.info(text, *tunnel.accounts, *tunnel.passed, reason)

    def _add_locked(self, tunnel: Tunnel, now: float) -> None:
        self._tunnels.add(tunnel)
        for side, key in enumerate(tunnel.keys):
            self._tokens[key] = tunnel, side
        for session in tunnel.sessions:
            self._of_session.setdefault(session, set()).add(tunnel)
        for account in {*tunnel.accounts}:
            self._accounts.setdefault(account, _Account(now)).tunnels += 1

    def _remove_locked(self, tunnel: Tunnel) -> None:
        self._tunnels.remove(tunnel)
        for key in tunnel.keys:
            self._tokens.pop(key, None)
        for session in tunnel.sessions:
            self._of_session[session].remove(tunnel)
            if not self._of_session[session]:
                del self._of_session[session]
        for account in {*tunnel.accounts}:
            self._accounts[account].tunnels -= 1
            if not self._accounts[account].tunnels:
                del self._accounts[account]

    def _forget_late_locked(self, now: float) -> None:
        """Forget tokens that are too old, and tunnels that nobody has come for."""
        while self._tokens:
            key, (tunnel, _) = next(iter(self._tokens.items()))
            if tunnel.deadline > now:
                return
            del self._tokens[key]
            if tunnel.ends == [None, None] and tunnel in self._tunnels:
                self._remove_locked(tunnel)

    def _count_wrong_locked(self, place: str, now: float) -> None:
        if place not in self._wrong:
            self._wrong[place] = TokenBucket(WRONG_TOKENS / 60, WRONG_TOKENS, now)
        self._wrong[place].take(now)
        self._wrong.move_to_end(place)
        if len(self._wrong) > WRONG_ADDRESSES:
            self._wrong.popitem(last=False)


def _hash(token: str) -> bytes:
    """Return what is kept of a token: nothing of it can be found out by how long a search takes."""
    return hashlib.sha256(token.encode()).digest()
