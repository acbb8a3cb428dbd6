"""Somebody with a client that knows of peers, as a bot would write it: by the public API alone."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final, TypeVar

from benchmark.crowd import LoadError, Target
from securechat.client import (
    Client,
    Disconnected,
    Failure,
    FileEnded,
    FileFinished,
    FileOffered,
    PathKind,
    PeerAsked,
    PeerClosed,
    PeerLost,
    PeerOpened,
    PeerSettings,
    RawReceived,
    Registered,
)

__all__ = ["Person"]

SETTLED: Final = "settled"

E = TypeVar("E")


class Person:
    """One side of transfers. Owned by one thread. What goes wrong raises ``LoadError``.

    :param name: of the account, which is made.
    :param folder: for the device's key, and received files.
    :param deadline: for all waiting, by the monotonic clock.
    """

    def __init__(self, target: Target, name: str, folder: Path, deadline: float) -> None:
        folder.mkdir()
        self._deadline = deadline
        self._client = Client(
            target.hostname,
            target.address[1],
            nick=name,
            ca=target.ca,
            reconnect=False,
            peers=PeerSettings(folder, folder / "downloads", allow_loopback=True),
        )

    def connect(self) -> None:
        """Connect and make the account; return when others can reach us."""
        self._client.connect(self._left())
        self._client.register(secrets.token_hex(16))
        self._wait(Registered)
        self._client.command("PING", SETTLED)
        while SETTLED not in self._wait(RawReceived).message.params:
            pass

    def show_addresses(self, other: str, show: bool) -> None:
        """Say whether sessions with ``other`` may be direct ones; for those that follow."""
        self._client.peers.set_trust(other, show_addresses=show)

    def ask(self, other: str) -> PathKind:
        """Ask ``other`` for a session; return how it runs."""
        self._client.peers.open(other)
        return self._wait(PeerOpened).path

    def answer(self, other: str) -> PathKind:
        """Accept the session that ``other`` asks for; return how it runs."""
        self._wait(PeerAsked)
        self._client.peers.accept(other)
        return self._wait(PeerOpened).path

    def send(self, other: str, path: Path) -> float:
        """Send a file; return when both sides knew that all of it has arrived unchanged."""
        self._client.peers.send_file(other, path)
        self._wait(FileFinished)
        return time.monotonic()

    def receive(self) -> tuple[float, Path]:
        """Accept the next file; return when that was, and where the file is, once it is there."""
        offered = self._wait(FileOffered)
        began = time.monotonic()
        self._client.peers.accept_file(offered.transfer)
        return began, self._wait(FileFinished).path

    def close(self) -> None:
        """Leave the relay."""
        self._client.close()

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _wait(self, kind: type[E]) -> E:
        while True:
            try:
                event = self._client.next_event(self._left())
            except TimeoutError as error:
                raise LoadError("it took too long; --timeout gives it more") from error
            if isinstance(event, kind):
                return event
            match event:
                case None:
                    raise LoadError("the client has ended")
                case Failure():
                    raise LoadError(f"the relay says: {event.text}")
                case Disconnected() | PeerClosed() | PeerLost() | FileEnded():
                    raise LoadError(f"{type(event).__name__}: {event.reason}")
