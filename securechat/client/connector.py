"""Keeping a client connected: dial, hand over to the I/O thread, log in, rejoin, come back.

The states of a connector are few: dialling (a thread of its own, since looking up a name blocks),
linked (there is a ``Link``), waiting for the next try, over.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from securechat.client.event_queue import EVENTS_LIMIT, EventQueue
from securechat.client.events import (
    AccountRequired,
    ChannelRenamed,
    Disconnected,
    Event,
    Failure,
    Joined,
    Kicked,
    LoggedIn,
    LoginRejected,
    NickChanged,
    NickRejected,
    Parted,
    Registered,
    RelaysAnnounced,
    Welcome,
)
from securechat.client.link import Link, LinkOwner, Timing
from securechat.client.peer_side import PeerSide
from securechat.client.protocol import ClientProtocol
from securechat.client.relays import Itinerary, RelayAddress, is_leaving, is_sent_away
from securechat.client.session import Credentials, Identity
from securechat.client.srv import look_up
from securechat.errors import (
    CertificateRejected,
    ConnectionLost,
    LoginFailed,
    NetworkError,
    SecureChatError,
    StoreError,
    gettext_noop,
)
from securechat.irc.message import Message
from securechat.irc.peering import CAPABILITY, TUNNEL_ALPN
from securechat.net.connection import Connection
from securechat.net.dialer import dial
from securechat.net.io_thread import IoThread
from securechat.net.locks import make_lock
from securechat.net.threads import Thread, start_thread
from securechat.net.tls import client_context
from securechat.net.tls_pipe import TlsPipe
from securechat.peer.hub import Hub, Settings
from securechat.peer.identity import Device

__all__ = ["Connector", "Endpoint", "Policy"]

T = TypeVar("T")

SEND_LIMIT_BYTES: Final = 1_048_576
"""Most bytes that wait to be sent: a server that does not read is given up, not stored for."""

_NONCE_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and whom to trust. Immutable.

    ``relays`` are tried in their order, then those that a look-up of ``srv`` finds, then those
    ``learned``: they have been announced by one of the others. Only with a ``ca`` of the chat's own
    there is a look-up, and are announced ones gone to (see ``relays``).
    """

    relays: tuple[RelayAddress, ...]
    srv: str = ""
    learned: tuple[RelayAddress, ...] = ()
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def name(self) -> str:
        """What the chat is known by among others: its first relay as ``HOST:PORT``, or domain."""
        return str(self.relays[0] if self.relays else self.srv).lower()

    @property
    def itinerary(self) -> Itinerary:
        """A new one."""
        learned = self.learned if self.ca is not None else ()
        return Itinerary(self.relays, learned, looks_up=bool(self.srv) and self.ca is not None)


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do when things go wrong. Immutable."""

    reconnect: bool
    patient: bool
    interactive: bool
    timing: Timing
    chance: Callable[[], float]


class Connector:
    """The connection of a client, again and again. Owned by the I/O thread, but for ``start`` and
    ``close``, which are safe from any thread, and single values, which any thread may read.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        policy: Policy,
        events: EventQueue,
        peers: tuple[Device, Settings] | None = None,
    ) -> None:
        self.identity = identity
        self.link: Link | None = None
        self.online = False
        self.welcomed = False  # once at least
        self.error: SecureChatError | None = None  # why it is over for good
        self.settled = threading.Event()  # welcomed once, or over
        self.channels: dict[str, tuple[str, str]] = {}  # lower case → name and key, to be joined
        self.keys: dict[str, str] = {}  # lower case → key of a join that is not answered yet
        self.proposed: Credentials | None = None  # not accepted by the server yet
        self.itinerary = endpoint.itinerary
        self._endpoint = endpoint
        self._policy = policy
        self._events = events
        self._failures = 0  # rounds in a row
        self._rejection: CertificateRejected | None = None  # the last one since the welcome
        self._same_elsewhere = False  # what ends this connection would end it at another relay, too
        self._over = False  # nobody reads the events
        self._finished = False
        self._io = IoThread("client net")
        try:
            self._peers = self._make_peer_side(*peers) if peers is not None else None
        except StoreError:
            self._io.stop(0.0)  # it has not begun; what it holds is given back
            raise
        self._lock = make_lock("Connector", tier=2)  # guards _started, _closing and _dialer
        self._started = False
        self._closing = False
        self._dialer: Thread | None = None

    @property
    def hub(self) -> Hub | None:
        """The peers; ``None`` before the first login to a relay that knows of them."""
        return self._peers.hub if self._peers is not None else None

    @property
    def why_no_hub(self) -> str:
        """Why ``hub`` is ``None``."""
        if self._peers is None:
            return gettext_noop("this client does without peers")
        link = self.link
        if link is not None and self.online and not link.protocol.session.has(CAPABILITY):
            return gettext_noop("this relay does not know of peers")
        return gettext_noop("peers need a login: /register or /login")

    # ---- safe from any thread ----

    def start(self) -> None:
        """Begin to connect, once."""
        with self._lock:
            begin = not self._started and not self._closing
            self._started = True
        if begin:
            self._io.start()
            self._io.post(self._dial)

    def post(self, work: Callable[[], None]) -> bool:
        """Call ``work`` on the I/O thread; false when that runs no more (or not yet)."""
        with self._lock:
            running = self._started and not self._closing
            if running:
                self._io.post(work)
        return running

    def ask(self, work: Callable[[], T]) -> T:
        """Call ``work`` on the I/O thread; return what it returns. Blocks; not for that thread.

        :raises NetworkError: that thread does not run; ``work`` was not called.
        :raises Exception: what ``work`` raised.
        """
        answers: queue.SimpleQueue[tuple[T, None] | tuple[None, Exception]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answers.put((work(), None))
            except Exception as error:  # noqa: BLE001 - it is raised on the thread that has asked
                answers.put((None, error))

        if not self.post(run):
            raise NetworkError("not connected")
        answer = answers.get()
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    def close(self, reason: str) -> None:
        """Say goodbye and end. Blocks shortly; not for the I/O thread."""
        with self._lock:
            first = not self._closing
            self._closing = True
            started, self._started = self._started, True
            dialer = self._dialer
        if not first:
            return
        close_s = self._policy.timing.close_s
        if started:
            self._io.post(lambda: self._leave(reason))
        else:
            self._finish(None, gettext_noop("closed"))
        self._io.stop(close_s)
        if self._peers is not None:
            self._peers.close()
        if dialer is not None:
            dialer.join(close_s)

    # ---- looking up and dialling: on a thread of its own ----

    def _look_up(self) -> None:
        found: tuple[RelayAddress, ...] | None = None
        failure: NetworkError | None = None
        try:
            found = look_up(self._endpoint.srv, self._policy.chance)
        except NetworkError as error:
            failure = error
        self.post(lambda: self._looked_up(found, failure))

    def _dial_once(self, relay: RelayAddress) -> None:
        endpoint, timing = self._endpoint, self._policy.timing
        try:
            context = client_context(
                endpoint.ca,
                certificate=endpoint.certificate,
                key=endpoint.key,
                protocols=["irc"],
            )
            if self._peers is not None:
                tunnel = client_context(endpoint.ca, protocols=[TUNNEL_ALPN])
                self._peers.tunnel_context = tunnel
            sock = dial(relay.host, relay.port, timing.dial_s)
        except NetworkError as error:
            self._dial_failed(error)
            return
        try:
            pipe = TlsPipe(context, server_hostname=relay.host)
        except ValueError:
            sock.close()
            self._dial_failed(NetworkError("not a host name for TLS: {host!r}", host=relay.host))
            return
        with self._lock:  # once we are closing, nobody would take care of the socket
            adopt = not self._closing
            if adopt:
                self._io.adopt(
                    sock,
                    pipe,
                    partial(self._make_link, relay),
                    handshake_timeout_s=timing.handshake_s,
                    send_limit_bytes=SEND_LIMIT_BYTES,
                )
        if not adopt:
            sock.close()

    def _dial_failed(self, error: NetworkError) -> None:
        self.post(lambda: self._failed(error, str(error)))

    # ---- on the I/O thread ----

    def _dial(self) -> None:
        """Connect to the next relay, or look first which there are."""
        itinerary = self.itinerary
        work: Callable[[], None] = self._look_up
        if not itinerary.must_look_up:
            relay = itinerary.advance()
            assert relay is not None, "a round begins with a relay, or a look-up"
            work = partial(self._dial_once, relay)
        with self._lock:
            if not self._closing:
                self._dialer = start_thread("client dial", work, daemon=True)

    def _looked_up(
        self, found: tuple[RelayAddress, ...] | None, failure: NetworkError | None
    ) -> None:
        self.itinerary.looked_up(found)
        if self.itinerary.upcoming is not None:
            self._dial()
        else:
            error = failure or self._rejection or NetworkError("there is no relay left to try")
            self._failed(error, str(error))

    def _make_peer_side(self, device: Device, settings: Settings) -> PeerSide:
        return PeerSide(
            self._io,
            device,
            settings,
            self._endpoint.name,
            nick=lambda: (
                self.identity.nick if self.link is None else self.link.protocol.session.nick
            ),
            say=self._signal,
            push=self.push,
        )

    def _signal(self, message: Message) -> None:
        if self.link is not None:
            self.link.do(lambda protocol: protocol.signal(message))

    def push(self, event: Event) -> None:
        """Report an event; disconnect when nobody reads them."""
        if self._over or self._events.put(event):
            return
        self._over = True
        self._io.post(self._overflowed)  # later: what has told this is not done with it

    def _overflowed(self) -> None:
        if self.link is not None:
            self.link.end(NetworkError("over {limit} events were not read", limit=EVENTS_LIMIT))

    def _make_link(self, relay: RelayAddress, connection: Connection) -> Link:
        protocol = ClientProtocol(
            self.identity,
            wall_clock=lambda: datetime.now(UTC),
            make_nonce=lambda: secrets.token_urlsafe(_NONCE_BYTES),
        )
        self.link = Link(
            connection,
            protocol,
            LinkOwner(self._happened, self._ended),
            host=relay.host,
            port=relay.port,
            timing=self._policy.timing,
        )
        return self.link

    def _happened(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if self._peers is not None and self._peers.takes(event):
                continue
            self._note(link, event)
            if self._peers is not None:
                self._peers.note(link, event)
            self.push(event)
            if isinstance(event, Welcome):
                self.settled.set()

    def _note(self, link: Link, event: Event) -> None:
        match event:
            case Welcome():
                self._welcome(link, event)
            case Joined(own=True):
                name = event.channel.lower()
                _, key = self.channels.get(name, ("", ""))
                self.channels[name] = (event.channel, self.keys.pop(name, key))
            case Parted(own=True) | Kicked(own=True):
                self.channels.pop(event.channel.lower(), None)
            case ChannelRenamed():
                _, key = self.channels.pop(event.old.lower(), ("", ""))
                self.channels[event.new.lower()] = (event.new, key)
            case NickChanged(own=True):
                self.identity = replace(self.identity, nick=event.new)
            case LoggedIn() | Registered() if self.proposed is not None:
                self.identity = replace(self.identity, credentials=self.proposed)
                self.proposed = None
            case Failure(command="REGISTER"):
                self.proposed = None
            case LoginRejected():
                self.proposed = None
                if not self.online:
                    self._login_rejected(link, event)
            case AccountRequired() if not self._policy.interactive:
                link.end(LoginFailed(event.text))
            case NickRejected() if not self.online:
                self._nick_rejected(link, event)
            case RelaysAnnounced() if self._endpoint.ca is not None:
                self.itinerary.learn(event.relays)
            case Failure(command="*", code="RELAY_ISOLATED") if not self.online:
                link.end(NetworkError("this relay is cut off from the others"))
            case _:
                pass

    def _welcome(self, link: Link, event: Welcome) -> None:
        self.online = self.welcomed = True
        self._failures = 0
        self._rejection = None
        self.itinerary.arrived()
        if not self.identity.other_nick:
            self.identity = replace(self.identity, nick=event.nick)

        def rejoin(protocol: ClientProtocol) -> None:
            for name, key in self.channels.values():
                protocol.command("JOIN", name, *([key] if key else []))

        link.do(rejoin)

    def _login_rejected(self, link: Link, event: LoginRejected) -> None:
        if event.is_temporary and (self.welcomed or self._policy.patient):
            link.end(NetworkError(event.text))
        elif event.is_temporary or not event.code or not self._policy.interactive:
            link.end(
                LoginFailed(
                    "login as {account} failed: {text}", account=event.account, text=event.text
                )
            )

    def _nick_rejected(self, link: Link, event: NickRejected) -> None:
        if self.welcomed and not event.reserved:
            # Most likely our own last connection, which the server has not given up yet.
            self._same_elsewhere = True
            link.end(NetworkError("the nick {nick} is still in use", nick=event.nick))
        elif not self._policy.interactive:
            link.end(
                LoginFailed(
                    "the nick {nick} cannot be used: {text}", nick=event.nick, text=event.text
                )
            )

    def _ended(self, link: Link, error: SecureChatError | None) -> None:
        reason = link.protocol.session.closing or (
            str(error) if error else gettext_noop("connection closed")
        )
        self._failed(error or ConnectionLost(reason), reason)

    def _failed(self, error: SecureChatError, reason: str) -> None:
        # In this order: who sees no link must not think that we are online without one.
        was_online, self.online = self.online, False
        self.link = None
        if self._peers is not None:
            self._peers.down()
        if self._closing:
            self._finish(None, gettext_noop("closed"))
        elif isinstance(error, LoginFailed) or self._over:
            self._give_up(error, reason)
        else:
            self._go_on(error, reason, was_online=was_online)

    def _go_on(self, error: SecureChatError, reason: str, *, was_online: bool) -> None:
        """Try the next relay: at once, as long as there is one in this round that may be better,
        else later. Before the first welcome an impatient client tries each relay once.
        """
        itinerary, policy = self.itinerary, self._policy
        same_elsewhere, self._same_elsewhere = self._same_elsewhere, False
        if isinstance(error, CertificateRejected):
            itinerary.reject()
            self._rejection = error
        upcoming = itinerary.upcoming
        ends_round = upcoming is None or same_elsewhere
        leaves = upcoming != itinerary.current and is_leaving(reason)
        wait_s = 0.0
        if ends_round or was_online:
            comes_back = policy.reconnect and (self.welcomed or policy.patient)
            comes_back = comes_back and not (was_online and is_sent_away(reason))
            if not comes_back or itinerary.hopeless:
                self._give_up(self._rejection or error, reason)
                return
            if not (was_online and leaves):
                wait_s = policy.timing.retry_in_s(self._failures, policy.chance())
                self._failures += 1
        if ends_round:
            itinerary.begin_round()
            upcoming = itinerary.upcoming
        other = upcoming if upcoming != itinerary.current else None
        self.push(Disconnected(reason, True, wait_s, error, str(other or "")))
        self._io.call_later(wait_s, self._dial)

    def _give_up(self, error: SecureChatError, reason: str) -> None:
        if self._peers is not None:
            self._peers.end_all(reason)
        self._finish(error, str(error) if error is self._rejection else reason)

    def _leave(self, reason: str) -> None:
        if self._peers is not None:
            self._peers.stop(reason)
        if self.link is None:
            self._finish(None, gettext_noop("closed"))
            return
        self.link.do(lambda protocol: protocol.command("QUIT", reason))
        self.link.end(None)

    def _finish(self, error: SecureChatError | None, reason: str) -> None:
        """The end, once."""
        finished, self._finished = self._finished, True
        if not finished:
            self.error = error
            self._events.finish(Disconnected(reason, False, 0.0, error))
            self.settled.set()
