"""Trying answers out at the real server: a connection, verified like any other, and its verdict."""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from securechat.client.assistant.ca_fetch import CaFetch
from securechat.client.assistant.ca_file import CaFile
from securechat.client.client import Client
from securechat.client.events import (
    AccountRequired,
    Connected,
    Disconnected,
    Event,
    Failure,
    LoginRejected,
    NickRejected,
    Registered,
    VerificationRequired,
    Welcome,
)
from securechat.client.settings.address import Address
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop
from securechat.errors import ConnectionLost, PkiError, SecureChatError
from securechat.net.threads import start_thread
from securechat.net.timers import Deadline

__all__ = ["TRIAL_S", "Attempt", "Purpose", "Server", "Trial", "Verdict", "describe_attempt"]

TRIAL_S: Final = 45.0
"""How long a trial may take, in seconds: to connect and to shake hands have 25 of them, the rest is
for the answers of a slow server, which hashes a password."""

Purpose = Literal["authority", "probe", "nick", "login", "register"]
"""What a trial is for. ``authority``: the CA that an invite link names. ``probe``: whether there is
a chat server, under a nick made up for that."""

_PROGRESS: Final[Mapping[Purpose, str]] = {
    "authority": gettext_noop("Fetching the CA of {place} …"),
    "probe": gettext_noop("Connecting to {place} …"),
    "nick": gettext_noop("Asking the server for the nick {nick} …"),
    "login": gettext_noop("Logging in as {account} …"),
    "register": gettext_noop("Making an account of the nick {nick} …"),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a trial is to do, and with what. Immutable.

    ``ca``: a file, or the PEM itself; ``ca_sha256``: which CA is to be fetched. ``email`` may also
    be an invitation code.
    """

    purpose: Purpose
    address: Address
    ca: Path | bytes | None
    nick: str
    realname: str = ""
    account: str = ""
    password: str | None = field(default=None, repr=False)
    email: str = field(default="*", repr=False)
    ca_sha256: bytes = b""


def describe_attempt(attempt: Attempt) -> str:
    """Return what is going on in a trial, in the language in use; safe."""
    return _(
        _PROGRESS[attempt.purpose],
        place=attempt.address.places,
        nick=make_safe(attempt.nick),
        account=make_safe(attempt.account),
    )


@dataclass(frozen=True, slots=True)
class Server:
    """What a trial has found out about the server. Immutable; ``network`` is as it came."""

    network: str = ""
    tls_version: str = ""
    can_log_in: bool = False
    can_register: bool = False
    email_required: bool = False
    account_required: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial has ended: the event that decided it, or the CA that was fetched, and what the
    server has told. Immutable.
    """

    event: Event | CaFile
    server: Server = field(default_factory=Server)


class Trial:
    """One connection to try the answers out, with a thread of its own. Safe from any thread.

    :param on_connected: called on that thread once the server's certificate has been verified.
    :param on_end: called on that thread when the connection has been closed: with this trial and
        the verdict, or ``None`` when it was cancelled.
    :param after: wait for the end of this one: it may still have the nick.
    :param limit_s: how long it may take, in seconds.
    """

    def __init__(
        self,
        attempt: Attempt,
        *,
        on_connected: Callable[[Connected], object],
        on_end: Callable[[Trial, Verdict | None], object],
        after: Trial | None = None,
        limit_s: float = TRIAL_S,
    ) -> None:
        self.attempt = attempt
        self._on_connected = on_connected
        self._on_end = on_end
        self._after = after
        self._limit_s = limit_s
        # True: there are events; False: cancelled; or how the fetching of a CA has ended.
        self._wakes: queue.SimpleQueue[bool | CaFile | SecureChatError] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._server = Server()

    def start(self) -> None:
        """Begin, once."""
        start_thread("setup trial", self._run)

    def cancel(self) -> None:
        """Break off; does nothing when it is over."""
        self._wakes.put(False)

    def _run(self) -> None:
        try:
            verdict = self._try_out()
        except SecureChatError as error:
            verdict = Verdict(Disconnected(str(error), False, error=error), self._server)
        finally:
            self._ended.set()
        self._on_end(self, verdict)

    def _try_out(self) -> Verdict | None:
        if self._after is not None:
            self._after._ended.wait()
            self._after = None
        attempt = self.attempt
        if attempt.purpose == "authority":
            return self._fetch()
        with (
            _as_file(attempt.ca) as ca,
            Client(
                attempt.address.host,
                attempt.address.port,
                nick=attempt.nick,
                relays=attempt.address.others,
                ca=ca,
                account=attempt.account or None,
                password=attempt.password if attempt.purpose == "login" else None,
                realname=attempt.realname,
                reconnect=False,
                interactive=True,
                on_event=lambda: self._wakes.put(True),
            ) as client,
        ):
            client.start()
            return self._listen(client)

    def _fetch(self) -> Verdict | None:
        address = self.attempt.address
        fetch = CaFetch(address.host, address.port, self.attempt.ca_sha256)

        def run() -> None:
            try:
                self._wakes.put(fetch.run())
            except SecureChatError as error:
                self._wakes.put(error)

        start_thread("setup fetch", run, daemon=True)  # nobody waits for a name look-up
        try:
            outcome = self._next(Deadline(self._limit_s))
        finally:
            fetch.cancel()
        if isinstance(outcome, SecureChatError):
            raise outcome
        return Verdict(outcome) if isinstance(outcome, CaFile) else None

    def _listen(self, client: Client) -> Verdict | None:
        deadline = Deadline(self._limit_s)
        while True:
            if not self._next(deadline):
                return None
            while (event := client.poll()) is not None:
                if self._decides(client, event):
                    return Verdict(event, self._server)

    def _next(self, deadline: Deadline) -> bool | CaFile | SecureChatError:
        try:
            return self._wakes.get(timeout=deadline.left_s())
        except queue.Empty:
            raise ConnectionLost("the server does not answer any more") from None

    def _decides(self, client: Client, event: Event) -> bool:
        """Take note of an event; return whether it is the answer."""
        purpose = self.attempt.purpose
        match event:
            case Connected():
                self._server = Server(tls_version=event.tls_version)
                self._on_connected(event)
            case Welcome() | AccountRequired():
                self._note_server(client, event)
                if purpose != "register":
                    return purpose != "login" or isinstance(event, Welcome)
                attempt = self.attempt
                client.register(attempt.password or "", email=attempt.email)
            case NickRejected():
                self._note_server(client, event)
                return True
            case Failure(command="REGISTER"):
                return True
            case Disconnected():
                return not event.will_retry  # else another relay is tried
            case LoginRejected() | Registered() | VerificationRequired():
                return True
            case _:
                pass
        return False

    def _note_server(self, client: Client, event: Event) -> None:
        self._server = Server(
            network=event.network if isinstance(event, Welcome) else "",
            tls_version=self._server.tls_version,
            can_log_in=client.offers("sasl"),
            can_register=client.offers("draft/account-registration"),
            email_required=client.email_required,
            account_required=isinstance(event, AccountRequired),
        )


@contextlib.contextmanager
def _as_file(ca: Path | bytes | None) -> Iterator[Path | None]:
    """Give the CA as a file, which is what a client takes."""
    if not isinstance(ca, bytes):
        yield ca
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="securechat-"))
            path = Path(folder, "ca.pem")
            path.write_bytes(ca)
        except OSError as error:
            reason = error.strerror
            raise PkiError("the CA cannot be put into a file ({reason})", reason=reason) from error
        yield path
