"""A client and its peers that only take note of what they are asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from securechat.client import DeviceTrust, Event, PeerSnapshot, Policy, TransferSnapshot, Trust
from securechat.errors import SecureChatError
from securechat.peer.events import PathKind, PeerState


def snapshot(
    account: str,
    state: PeerState = "open",
    *,
    nick: str = "",
    path: PathKind | None = "relayed",
    **more: Any,
) -> PeerSnapshot:
    """Return somebody with whom there is a session, if nothing else is said."""
    fields = {"address": "", "safety": None, "sent_bytes_per_s": 0.0, "received_bytes_per_s": 0.0}
    return PeerSnapshot(account, nick or account, state, path, **(fields | more))


class NotingPeers:
    """Writes down what it is asked to do; ``refusals`` says what cannot be done, and why."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.refusals: dict[str, SecureChatError] = {}
        self.known: tuple[DeviceTrust, ...] = ()
        self.people: tuple[PeerSnapshot, ...] = ()
        self.files: tuple[TransferSnapshot, ...] = ()
        self.set: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **more: Any) -> int:
            self._refuse(name)
            self.done.append((name, *arguments, *more.items()))
            return len(self.done)

        return note

    def list(self) -> tuple[PeerSnapshot, ...]:
        self._refuse("list")
        return self.people

    def transfers(self) -> tuple[TransferSnapshot, ...]:
        return self.files

    def devices(self, name: str) -> tuple[DeviceTrust, ...]:
        return self.known

    def verify(self, name: str, fingerprint: str = "", *, verified: bool = True) -> DeviceTrust:
        self.done.append(("verify", name, fingerprint, verified))
        return self.known[0]

    def trust(self, name: str) -> Trust:
        settings = {"policy": Policy.ASK, "show_addresses": False, "take_files": False}
        return Trust(name, **(settings | self.set))

    def set_trust(self, name: str, **wishes: Any) -> Trust:
        self.set |= wishes
        self.done.append(("set_trust", name, *wishes.items()))
        return self.trust(name)

    def _refuse(self, name: str) -> None:
        if name in self.refusals:
            raise self.refusals[name]


class NotingClient:
    """Writes down what it is asked to say."""

    def __init__(self) -> None:
        self.nick = "alice"
        self.account = None
        self.peers = NotingPeers()
        self.events: deque[Event] = deque()
        self.done: list[tuple[Any, ...]] = []

    def poll(self) -> Event | None:
        return self.events.popleft() if self.events else None

    def is_channel(self, target: str) -> bool:
        return target.startswith("#")

    def same_name(self, left: str, right: str) -> bool:
        return left.lower() == right.lower()

    def offers(self, capability: str) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **more: Any) -> int:
            more.pop("mark", None)  # chosen by chance
            given = [value for value in (*arguments, *more.values()) if value is not None]
            self.done.append((name, *given))
            return len(self.done)

        return note

    def taken(self) -> list[tuple[Any, ...]]:
        """Return all that was asked of it and of its peers, and forget it."""
        done: Iterable[tuple[Any, ...]] = [*self.done, *self.peers.done]
        self.done, self.peers.done = [], []
        return list(done)


def make_file(folder: Path, name: str = "report.pdf") -> Path:
    path = folder / name
    path.write_bytes(b"what it says")
    return path
