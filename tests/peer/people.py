"""People with clients that know of peers, on a real relay in this process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from securechat.client import Client, Event, RawReceived, Timing, Welcome
from securechat.client.relays import RelayAddress
from securechat.net.timers import Deadline
from securechat.peer.contact import Contact
from securechat.peer.events import PeerAsked, PeerOpened
from securechat.peer.hub import Hub, Settings
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay

T = TypeVar("T")
E = TypeVar("E")


class Person:
    """Somebody with an account and a client. Owned by the test's thread.

    Each look for an event begins behind the last one that was found.

    :param others: further relays of the same chat.
    """

    def __init__(
        self,
        relay: RunningRelay,
        name: str,
        folder: Path,
        *,
        others: Iterable[RunningRelay] = (),
        allow_loopback: bool = True,
        upnp: bool = False,
        reconnect: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.downloads = folder / "downloads"
        self.seen: list[Event] = []
        self._tokens = itertools.count()
        self.client = Client(
            "localhost",
            relay.address[1],
            relays=[RelayAddress("localhost", other.address[1]) for other in others],
            nick=name,
            password=PASSWORD,
            ca=relay.certificates.ca_file,
            reconnect=reconnect,
            peers=Settings(folder, self.downloads, allow_loopback=allow_loopback, upnp=upnp),
            timing=timing or Timing(retry_first_s=0.05, close_s=1.0),
        )

    def connect(self) -> Person:
        self.client.connect(LONG_TIMEOUT_S)
        self.wait(Welcome)
        self.sync()
        return self

    @property
    def peers(self) -> Any:
        return self.client.peers

    def sync(self) -> None:
        """Wait until the relay has done all that was said up to now: we can be reached."""
        token = f"sync-{next(self._tokens)}"
        self.client.command("PING", token)
        self.wait(RawReceived, lambda event: event.message.params[-1:] == (token,))

    def wait(self, kind: type[E], fits: Callable[[E], bool] = lambda event: True) -> E:
        """Return the next event of that kind that fits; those before are passed over."""
        passed: list[Event] = []
        while True:
            try:
                event = self.client.next_event(LONG_TIMEOUT_S)
            except TimeoutError:
                raise AssertionError(f"no {kind.__name__} for {self.name}; but {passed}") from None
            assert event is not None, f"no {kind.__name__} for {self.name}: the end; but {passed}"
            self.seen.append(event)
            if isinstance(event, kind) and fits(event):
                return event
            passed.append(event)

    def wait_open(self, other: str) -> PeerOpened:
        """Return how the session with ``other`` runs, once it does."""
        return self.wait(PeerOpened, lambda event: event.account == other)

    def accept_next(self, other: str) -> PeerOpened:
        """Wait for the question of ``other``, accept it; return how the session runs."""
        self.wait(PeerAsked, lambda event: event.account == other)
        self.peers.accept(other)
        return self.wait_open(other)

    def wait_for_bytes(self) -> None:
        """Wait until a part of some file is here."""
        deadline = Deadline(LONG_TIMEOUT_S)
        while not any(transfer.done_bytes for transfer in self.peers.transfers()):
            assert not deadline.over(), f"nothing has come for {self.name}"

    def seen_of(self, kind: type[E]) -> list[E]:
        """Return the events of that kind that were found or passed over."""
        return [event for event in self.seen if isinstance(event, kind)]

    def on_thread(self, work: Callable[[Hub], T]) -> T:
        """Do ``work`` on the client's I/O thread; return its result."""
        done = threading.Event()
        found: list[T] = []

        def run() -> None:
            hub = self.client._connector.hub
            assert hub is not None
            found.append(work(hub))
            done.set()

        assert self.client._connector.post(run)
        assert done.wait(LONG_TIMEOUT_S)
        return found[0]

    def cut(self, other: str) -> None:
        """Break the path of the session with ``other``, without a word to the other side."""

        def drop(hub: Hub) -> None:
            contact = hub.find(other)
            assert contact is not None
            line = contact._line
            assert line is not None
            line.connection.drop(None)

        self.on_thread(drop)

    def contact(self, other: str) -> Contact:
        found = self.on_thread(lambda hub: hub.find(other))
        assert found is not None
        return found

    def close(self) -> None:
        self.client.close()


def show_addresses(*people: Person) -> None:
    """Let each show its addresses to all the others."""
    for one in people:
        for other in people:
            if other is not one:
                one.peers.set_trust(other.name, show_addresses=True)


def open_session(asker: Person, asked: Person) -> tuple[PeerOpened, PeerOpened]:
    """Have a session between the two, as by hand; return what each was told."""
    asker.peers.open(asked.name)
    asked.wait(PeerAsked)
    asked.peers.accept(asker.name)
    return asker.wait(PeerOpened), asked.wait(PeerOpened)
