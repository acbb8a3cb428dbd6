"""From a pair to a path: all ways to the other side are tried, one is picked, the rest are closed.

Where both sides show each other their addresses, both listen, tell candidates and dial those of the
other side from the port on which they listen: so that a simple NAT on either side, having seen a
packet go out there, lets the other's in. Where that brings no path within ``TUNNEL_AFTER_S`` (at
once where it cannot), the offerer asks the relay for a tunnel. The offerer picks; see the package's
docstring for what is said.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from securechat.errors import (
    CertificateRejected,
    ConnectionLost,
    NetworkError,
    PkiError,
    RemoteProtocolError,
    TlsError,
    gettext_noop,
)
from securechat.irc import peering
from securechat.irc.peering import Candidate, RelayPlace
from securechat.net.connection import Connection
from securechat.net.dialer import Dial
from securechat.net.pipe import Pipe
from securechat.net.timers import Timer
from securechat.net.tls import pinned_context
from securechat.net.tls_pipe import TlsPipe
from securechat.peer.candidates import choose
from securechat.peer.door import Door
from securechat.peer.events import PathKind
from securechat.peer.identity import Device
from securechat.peer.look_up import LookUp
from securechat.peer.means import Means
from securechat.peer.path import Path
from securechat.peer.pipes import DirectPipe, TunnelPipe, first_word
from securechat.peer.records import ALPN, VERSION, Pick, Ready, Record, encode
from securechat.pki import parse_host

__all__ = [
    "PATHS_MOST",
    "RACE_S",
    "SEND_LIMIT_BYTES",
    "TUNNEL_AFTER_S",
    "Pair",
    "Race",
]

TUNNEL_AFTER_S: Final = 2.0
"""How long the direct ways have before the tunnel is asked for: a handshake around the world takes
less than half of it, and people wait."""

RACE_S: Final = 30.0
"""After which no path will come any more."""

DIAL_S: Final = 10.0
"""For one candidate to answer: a firewall that drops says nothing."""

HANDSHAKE_S: Final = 15.0
"""For all that is said on a connection before it is a path."""

PATHS_MOST: Final = 32
"""Most connections of one race at a time: each side dials half as many. Who has overheard the first
word, which is not encrypted, may fill it; then the tunnel is left."""

SEND_LIMIT_BYTES: Final = 16_777_216
"""Most that waits to be sent on a path: four times what files have under way, and texts."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two devices that have agreed to have a session. Immutable."""

    id: str
    offerer: bool
    certificate: bytes  # of the other side, in DER

    def context(self, device: Device) -> ssl.SSLContext:
        """Return what a connection of this pair is encrypted by."""
        return pinned_context(
            device.files.certificate,
            device.files.key,
            self.certificate,
            server_side=not self.offerer,
            protocols=[ALPN],
        )


class Race:
    """The tries to get one path for one pair. Owned by the I/O thread.

    :param door: where we listen; ``None`` where the other side may not know our addresses.
    :param picked: called once with the path, which belongs to the callee then; or
    :param failed: called once with the reason in plain words. Neither after ``stop``.
    :raises TlsError: the certificate cannot be that of a device.
    """

    def __init__(
        self,
        means: Means,
        pair: Pair,
        door: Door | None,
        *,
        picked: Callable[[Path], None],
        failed: Callable[[str], None],
    ) -> None:
        self._means = means
        self._pair = pair
        self._route = means.route()
        self._door = door
        self._picked = picked
        self._failed = failed
        self._context = pair.context(means.device)
        self._word = first_word(pair.id)
        self._paths: set[Path] = set()
        self._dials: set[Dial | LookUp] = set()
        self._tried: list[Candidate] = []
        self._tunnel_asked = False
        self._tunnelled = False  # or there will be no tunnel
        self._reason = ""  # why the last path failed that told more than that nobody is there
        self._over = False
        self._deadline: Timer = means.io.call_later(RACE_S, self._late)
        self._tunnel_timer: Timer = means.io.call_later(TUNNEL_AFTER_S, self._ask_for_tunnel)

    # ---- signals ----

    def start(self) -> None:
        """Tell where we can be reached, which is nowhere without a door; begin to wait."""
        found: list[Candidate] = []
        if self._door is not None:
            self._door.expect(self._word, self)
            found = self._means.own_candidates(self._door)
        for message in peering.candidates(self._pair.id, found[: peering.CANDIDATES_PER_SIGNAL]):
            self._means.signal(message)
        if not found:
            self._ask_for_tunnel()

    def reachable_at(self, candidate: Candidate) -> None:
        """Tell of one more place where we can be reached."""
        for message in peering.candidates(self._pair.id, [candidate]):
            self._means.signal(message)

    def candidates(self, found: Iterable[Candidate]) -> None:
        """Dial where the other side can be reached, if it may know where we are."""
        wanted = list(found)
        if not wanted or self._door is None:
            self._ask_for_tunnel()
            return
        relay = Candidate(*self._route.address) if self._route is not None else None
        chosen = choose(wanted, self._tried, relay=relay, allow_loopback=self._means.allow_loopback)
        self._tried += chosen
        for candidate in chosen:
            self._dial_candidate(candidate)

    def token(self, token: str, relay: RelayPlace | None) -> None:
        """Open our side of a tunnel, at another relay than ours if ``relay`` is one.

        That is believed since ours has said so, and it is verified as ours is, by its name.
        """
        route = self._route
        if route is None or self._tunnelled:
            return
        self._tunnelled = True
        try:
            place = route.place if relay is None else _normal(relay)
        except PkiError as error:
            self.tunnel_refused(str(error))
            return

        def make_pipe() -> Pipe:
            return TunnelPipe(route.pipe(place.host), token, self.make_pipe())

        if place == route.place:
            self._dial(route.address, make_pipe, "relayed")
        else:
            self._look_up(place, make_pipe)

    def tunnel_refused(self, reason: str) -> None:
        """Take note that the relay gives us none: what is left are the direct ways."""
        self._reason, self._tunnelled = reason, True
        self._give_up_if_none_is_left()

    def stop(self) -> None:
        """Give up; close all."""
        if not self._over:
            self._end()

    # ---- what the paths tell ----

    def adopt(self, path: Path) -> None:
        """Take in a path that the door has let in.

        :raises TlsError: there are too many.
        """
        if len(self._paths) >= PATHS_MOST:
            raise TlsError("too many connections for one session")
        self._paths.add(path)

    def make_pipe(self) -> Pipe:
        """Return our end of the TLS between the two devices."""
        return TlsPipe(self._context, server_side=not self._pair.offerer)

    def opened(self, path: Path) -> None:
        """Check whom we have; the answerer says that it is ready."""
        if path.connection.pipe.peer_certificate != self._pair.certificate:
            path.connection.drop(NetworkError(_WRONG_CERTIFICATE))
        elif not self._pair.offerer:
            path.connection.queue(encode(Ready([VERSION])))

    def heard(self, path: Path, record: Record) -> None:
        """Take the one record that each side says before the session.

        :raises RemoteProtocolError: it is another one.
        """
        match record:
            case Ready() if self._pair.offerer:
                if VERSION not in record.versions:
                    raise RemoteProtocolError("the other side speaks no version that we do")
                path.connection.queue(encode(Pick(VERSION)))
            case Pick() if not self._pair.offerer:
                if record.version != VERSION:
                    raise RemoteProtocolError("the other side has picked another version")
            case _:
                raise RemoteProtocolError("a {kind} before the choice", kind=type(record).__name__)
        self._paths.discard(path)
        self._end()
        self._picked(path)

    def closed(self, path: Path, error: NetworkError | None) -> None:
        """One way less."""
        self._paths.discard(path)
        if isinstance(error, CertificateRejected):
            self._reason = _WRONG_CERTIFICATE
        elif error is not None and not isinstance(error, ConnectionLost):
            self._reason = str(error)
        self._give_up_if_none_is_left()

    # ---- inside ----

    def _dial_candidate(self, candidate: Candidate) -> None:
        def find(word: bytes) -> Pipe:
            if word != self._word:
                raise TlsError("somebody else answers there")
            return inner

        inner = self.make_pipe()
        self._dial(candidate, lambda: DirectPipe(find, ours=(self._word, inner)), "direct")

    def _look_up(self, relay: RelayPlace, make_pipe: Callable[[], Pipe]) -> None:
        """Dial a relay by its name."""

        def found(addresses: Sequence[tuple[str, int]]) -> None:
            self._dials.discard(look_up)
            self._dial(addresses[0], make_pipe, "relayed", addresses[1:])

        def failed(error: NetworkError) -> None:
            self._dials.discard(look_up)
            self._reason = str(error)
            self._give_up_if_none_is_left()

        look_up = LookUp(self._means.io, *relay, found=found, failed=failed)
        self._dials.add(look_up)

    def _dial(
        self,
        address: tuple[str, int],
        make_pipe: Callable[[], Pipe],
        kind: PathKind,
        others: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Connect to ``address``; where nobody answers, to the next of the ``others``."""
        direct = kind == "direct"

        def make_handler(connection: Connection) -> Path:
            path = Path(connection, kind, address[0] if direct else "", self)
            self._dials.discard(dial)
            self._paths.add(path)
            return path

        def failed(error: NetworkError) -> None:
            self._dials.discard(dial)
            if not direct:
                self._reason = str(error)
            if others:
                self._dial(others[0], make_pipe, kind, others[1:])
            else:
                self._give_up_if_none_is_left()

        dial = self._means.io.dial(
            address,
            make_pipe,
            make_handler,
            on_failure=failed,
            timeout_s=DIAL_S,
            handshake_timeout_s=HANDSHAKE_S,
            send_limit_bytes=SEND_LIMIT_BYTES,
            local_port=self._door.port if direct and self._door is not None else 0,
        )
        self._dials.add(dial)

    def _ask_for_tunnel(self) -> None:
        if self._pair.offerer and not self._tunnel_asked and not self._over:
            self._tunnel_asked = True
            self._means.signal(peering.tunnel(self._pair.id))

    def _give_up_if_none_is_left(self) -> None:
        # The tunnel is the last way, where no direct one can come.
        if self._tunnelled and self._door is None and not self._paths and not self._dials:
            self._late()

    def _late(self) -> None:
        if not self._over:
            self._end()
            self._failed(self._reason or gettext_noop("no way to the other side was found"))

    def _end(self) -> None:
        self._over = True
        self._deadline.cancel()
        self._tunnel_timer.cancel()
        if self._door is not None:
            self._door.forget(self._word)
        for dial in self._dials:
            dial.cancel()
        self._dials.clear()
        paths, self._paths = self._paths, set()
        for path in paths:
            path.leave()
            path.connection.drop(None)


def _normal(relay: RelayPlace) -> RelayPlace:
    """Return a place with its host as certificates name it.

    :raises PkiError: no host is called that.
    """
    return relay._replace(host=str(parse_host(relay.host).value))


_WRONG_CERTIFICATE: Final = gettext_noop(
    "the other side did not show the certificate that was told"
)
