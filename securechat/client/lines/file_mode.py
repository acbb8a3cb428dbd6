"""Files sent or received while nobody watches: ``--send`` and ``--receive``. For scripts.

A lost connection is not the end, as it is for lines of a pipe: the client comes back, the session
gets another path, and each file goes on where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.client.client import Client
from securechat.client.events import Disconnected, Event, Welcome
from securechat.client.lines.file_console import FileConsole
from securechat.client.words.peer_wording import person
from securechat.client.words.refusals import reason
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain, gettext_noop
from securechat.errors import LocalProtocolError, SecureChatError
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    PeerAsked,
    PeerClosed,
    PeerOpened,
)

__all__ = [
    "FILES_AT_ONCE",
    "LINGER_S",
    "RELAY_BACK_S",
    "FileMode",
    "ReceiveFiles",
    "ReceiveJob",
    "SendFiles",
    "SendJob",
]

FILES_AT_ONCE: Final = 8
"""Most files that we offer at a time: each is open meanwhile, and may be asked about."""

LINGER_S: Final = 5.0
"""How long a receiver that has all leaves it to the sender to end the session, in seconds: who ends
it has read that its file is whole."""

RELAY_BACK_S: Final = 600.0
"""How long a sender without a session waits for the relay to come back, in seconds: as long as a
session without a path waits for one."""


@dataclass(frozen=True, slots=True)
class SendJob:
    """Files for one person, by nick or account. Immutable.

    ``show_addresses``: let them know our addresses, from now on.
    """

    name: str
    files: tuple[Path, ...]
    show_addresses: bool


@dataclass(frozen=True, slots=True)
class ReceiveJob:
    """A number of files that are to come into a folder. Immutable.

    ``people``: whose files are taken, by nick or account; if there are none, of all those whose
    files are taken without a question anyway. ``show_addresses``: as above.
    """

    folder: Path
    people: tuple[str, ...]
    count: int
    show_addresses: bool


class FileMode:
    """Reads the events of a client until the work is done. Owned by the main thread.

    :param seconds: of a clock that only goes forward.
    """

    def __init__(self, client: Client, console: FileConsole, seconds: Callable[[], float]) -> None:
        self.error: SecureChatError | None = None  # why the client has ended
        self._client = client
        self._console = console
        self._seconds = seconds
        self._deadline: float | None = None
        self._over = False
        self._failed = False

    def run(self) -> bool:
        """Do the work; return whether every file has arrived whole. Blocks until then."""
        while not self._over:
            try:
                event = self._client.next_event(self._wait_s())
            except TimeoutError:
                self._late()
                continue
            if event is None:  # the client was closed
                self._failed = self._over = True
                break
            self._console.show(event)
            if isinstance(event, Disconnected) and not event.will_retry:
                self.error = event.error
            try:
                self._handle(event)
            except SecureChatError as error:
                self._fail(explain(error))
        self._console.erase_progress()
        return not self._failed

    # ---- for the one direction and the other ----

    def _handle(self, event: Event) -> None:
        """Do what is to be done now."""
        raise NotImplementedError

    def _late(self) -> None:
        """The time that ``_wait`` gave is over."""
        raise NotImplementedError

    # ---- for both ----

    def _wait(self, wait_s: float | None) -> None:
        """Have ``_late`` called in so many seconds, or not."""
        self._deadline = None if wait_s is None else self._seconds() + wait_s

    def _wait_s(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._seconds())

    def _fail(self, problem: str) -> None:
        """End, and say why."""
        self._console.say(f"! {make_safe(problem)}")
        self._failed = self._over = True

    def _close(self, account: str, why: str) -> None:
        with contextlib.suppress(LocalProtocolError):  # it is over already
            self._client.peers.close(account, why)

    def _is(self, event: PeerAsked | PeerOpened | PeerClosed | FileOffered, name: str) -> bool:
        same = self._client.same_name
        if same(event.account, name):
            return True
        # Not who is called like an account that we know: that one is meant.
        return same(event.nick, name) and same(self._client.peers.account_of(name), event.account)


class SendFiles(FileMode):
    """Sends files in a session that it asks for and ends."""

    def __init__(
        self,
        client: Client,
        console: FileConsole,
        job: SendJob,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, console, seconds)
        self._job = job
        self._waiting = deque(job.files)
        self._offered: set[int] = set()
        self._account = ""  # of the open session

    def _handle(self, event: Event) -> None:
        match event:
            case Welcome() if not self._account:
                self._ask()
            case Disconnected() if not self._account:
                self._wait(RELAY_BACK_S)
            case PeerAsked() if self._is(event, self._job.name):
                # Both ask at once. A device that is not the known one never gets so far.
                with contextlib.suppress(LocalProtocolError):  # it was taken back
                    self._client.peers.accept(event.account)
            case PeerOpened(again=False) if self._is(event, self._job.name):
                self._account = event.account
                self._offer()
            case PeerClosed() if self._is(event, self._job.name):
                # Who was asked while the connection to the relay broke is asked again.
                if event.was_open or self._client.online:
                    self._fail(f"{person(event.nick, event.account)}: {reason(event.reason)}")
            case FileFinished() | FileEnded() if event.transfer in self._offered:
                self._offered.remove(event.transfer)
                self._failed = self._failed or isinstance(event, FileEnded)
                self._offer()
            case _:
                pass

    def _late(self) -> None:
        self._fail(_("the relay has not come back"))

    def _ask(self) -> None:
        self._wait(None)
        if self._job.show_addresses:
            self._client.peers.set_trust(self._job.name, show_addresses=True)
        with contextlib.suppress(LocalProtocolError):  # a session is being made already
            self._client.peers.open(self._job.name)

    def _offer(self) -> None:
        """Offer what there is room for; end when all is settled."""
        while self._waiting and len(self._offered) < FILES_AT_ONCE:
            path = self._waiting.popleft()
            self._offered.add(self._client.peers.send_file(self._account, path))
        if not self._offered:
            self._close(self._account, gettext_noop("all files were sent"))
            self._over = True


class ReceiveFiles(FileMode):
    """Receives files in the sessions that others ask for."""

    def __init__(
        self,
        client: Client,
        console: FileConsole,
        job: ReceiveJob,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, console, seconds)
        self._job = job
        self._begun = False
        self._sessions: set[str] = set()  # accounts
        self._running: set[int] = set()  # files
        self._whole = 0
        self._lost: list[tuple[str, str]] = []  # accounts and files that ended without all

    def _handle(self, event: Event) -> None:
        match event:
            case Welcome() if not self._begun:
                self._begin()
            case PeerAsked():
                self._answer(event)
            case PeerOpened() if self._allows(event):
                self._sessions.add(event.account)
            case PeerOpened():
                self._close(event.account, gettext_noop("only files of others are received now"))
            case PeerClosed():
                self._sessions.discard(event.account)
                self._look()
            case FileOffered() if self._allows(event):
                self._take(event)
            case FileAccepted(outgoing=False) if event.account in self._sessions:
                self._expect(event.transfer)
            case FileFinished() if event.transfer in self._running:
                self._running.remove(event.transfer)
                self._whole += 1
                if (event.account, event.name) in self._lost:  # it has come by another try
                    self._lost.remove((event.account, event.name))
                self._look()
            case FileEnded() if event.transfer in self._running:
                self._running.remove(event.transfer)
                self._lost.append((event.account, event.name))
                self._look()
            case _:
                pass

    def _late(self) -> None:
        for account in self._sessions:
            self._close(account, gettext_noop("all files have arrived"))
        self._end()

    def _begin(self) -> None:
        self._begun = True
        self._client.peers.list()  # raises if there are no peers
        for name in self._job.people if self._job.show_addresses else ():
            self._client.peers.set_trust(name, show_addresses=True)
        if not self._job.people:
            note = _("files are taken only of those for whom /trust NICK files on is set")
            self._console.say(f"* {note}")
        elif self._console.watched:
            people = make_safe(", ".join(self._job.people))
            self._console.say(f"* {_('files are taken of {people}', people=people)}")

    def _allows(self, event: PeerAsked | PeerOpened | FileOffered) -> bool:
        if self._job.people:
            return any(self._is(event, name) for name in self._job.people)
        return self._client.peers.trust(event.account).take_files

    def _answer(self, event: PeerAsked) -> None:
        with contextlib.suppress(LocalProtocolError):  # it was taken back
            if self._allows(event):
                self._client.peers.accept(event.account)
            else:
                self._client.peers.decline(event.account)

    def _take(self, event: FileOffered) -> None:
        with contextlib.suppress(LocalProtocolError):  # it goes on by itself, or was taken back
            if self._whole + len(self._running) < self._job.count:
                self._client.peers.accept_file(event.transfer, self._job.folder)
                self._expect(event.transfer)
            else:
                self._client.peers.decline_file(event.transfer)

    def _expect(self, transfer: int) -> None:
        self._running.add(transfer)
        self._wait(None)

    def _look(self) -> None:
        """See whether all that is expected has come, or has failed."""
        if self._running or self._whole + len(self._lost) < self._job.count:
            return
        if self._sessions:
            self._wait(LINGER_S)
        else:
            self._end()

    def _end(self) -> None:
        self._failed = bool(self._lost)
        self._over = True
