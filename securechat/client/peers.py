"""``Client.peers``: sessions with other people, without the relay where that is possible.

What people call each other is a nick or an account; both will do for ``name`` throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from securechat.client.connector import Connector
from securechat.client.words.translation import gettext_noop
from securechat.errors import LocalProtocolError, NetworkError
from securechat.peer.events import PeerSnapshot
from securechat.peer.hub import Hub
from securechat.peer.known_peers import KnownDevice, Policy
from securechat.peer.records import TextKind
from securechat.peer.safety_code import safety_code
from securechat.peer.transfers import TransferSnapshot

__all__ = ["DeviceTrust", "Peers", "Trust"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trust:
    """What the user has set for somebody. Immutable.

    ``policy``: whether we ask before each session. ``show_addresses``: whether that person may
    learn our addresses; without it all goes through the relay. ``take_files``: without a question.
    """

    account: str
    policy: Policy
    show_addresses: bool
    take_files: bool


@dataclass(frozen=True, slots=True)
class DeviceTrust:
    """A device of somebody, as far as it is known. Immutable.

    ``safety_code`` are 60 digits, which the other side sees as well if nobody is in between.
    """

    account: str
    device: KnownDevice
    safety_code: str
    in_session: bool


class Peers:
    """The peers of a client. Safe from any thread but the I/O thread; each call blocks shortly.

    All methods raise ``NetworkError`` while there was no login to a relay that knows of peers.
    What comes of a call is told by events (``PeerOpened``, ``PeerClosed``, ``FileFinished``, …).
    """

    def __init__(self, connector: Connector, deliveries: Iterator[int]) -> None:
        self._connector = connector
        self._deliveries = deliveries

    # ---- sessions ----

    def list(self) -> tuple[PeerSnapshot, ...]:
        """Return who can be reached as a peer, and with whom there is something."""
        return self._ask(lambda hub: hub.snapshot())

    def open(self, name: str) -> None:
        """Ask for a session, or accept the one that is asked for: ``PeerOpened`` or ``PeerClosed``.

        :raises LocalProtocolError: there is one, or we have asked already.
        """
        self._ask(lambda hub: hub.open(name))

    def accept(self, name: str) -> None:
        """Accept the session that ``PeerAsked`` told of.

        :raises LocalProtocolError: nobody of that name asks for one.
        """
        self._ask(lambda hub: hub.contact(name).negotiation.accept())

    def decline(self, name: str) -> None:
        """Decline the session that is asked for, or take back our own question.

        :raises LocalProtocolError: there is no question between us.
        """
        self._ask(lambda hub: hub.contact(name).negotiation.decline())

    def close(self, name: str, reason: str = gettext_noop("it was ended")) -> None:
        """End the session with somebody.

        :raises LocalProtocolError: there is none.
        """
        self._ask(lambda hub: hub.contact(name).close(reason))

    def send(self, name: str, text: str, kind: TextKind = "message") -> int:
        """Say ``text`` inside the session; return the number that its ``Delivered`` or
        ``NotDelivered`` will carry. It never goes through the relay's chat: if the session has lost
        its path, the text waits for the next one.

        :raises LocalProtocolError: there is no session, or the text cannot be said.
        """
        delivery = next(self._deliveries)
        self._ask(lambda hub: hub.contact(name).say(text, kind, delivery))
        return delivery

    def typing(self, name: str, state: Literal["active", "paused", "done"]) -> None:
        """Tell that we are typing, pause, or have stopped.

        :raises LocalProtocolError: there is no session.
        """
        self._ask(lambda hub: hub.contact(name).typing(state))

    # ---- files ----

    def send_file(self, name: str, path: Path) -> int:
        """Offer a file inside the session; return the number of its transfer.

        :raises LocalProtocolError: there is no session.
        """
        return self._ask(lambda hub: hub.contact(name).transfers.offer(path))

    def accept_file(self, transfer: int, folder: Path | None = None) -> None:
        """Accept an offered file; it is put into ``folder``, or where all files go.

        :raises LocalProtocolError: there is no such offer. So do the following.
        """

        def accept(hub: Hub) -> None:
            hub.transfers_of(transfer).accept(transfer, folder or hub.downloads)

        self._ask(accept)

    def decline_file(self, transfer: int) -> None:
        """Decline an offered file."""
        self._ask(lambda hub: hub.transfers_of(transfer).decline(transfer))

    def cancel_file(self, transfer: int) -> None:
        """End a transfer, ours or theirs."""
        self._ask(lambda hub: hub.transfers_of(transfer).cancel(transfer))

    def transfers(self) -> tuple[TransferSnapshot, ...]:
        """Return the files that are offered or on their way."""
        return self._ask(lambda hub: hub.transfers())

    # ---- trust ----

    def account_of(self, name: str) -> str:
        """Return the account that ``name`` means. If we know devices of an account of that name,
        it is that one, whomever else the relay lets be called so.
        """
        return self._ask(lambda hub: hub.account_of(name))

    def trust(self, name: str) -> Trust:
        """Return what is set for somebody."""
        return self._ask(lambda hub: _trust(hub, name))

    def set_trust(
        self,
        name: str,
        *,
        policy: Policy | None = None,
        show_addresses: bool | None = None,
        take_files: bool | None = None,
    ) -> Trust:
        """Change what is set for somebody; return what is set then."""

        def change(hub: Hub) -> Trust:
            network, account = hub.network, hub.key_of(name)
            if policy is not None:
                hub.known.set_policy(network, account, policy)
            if show_addresses is not None:
                hub.known.set_show_addresses(network, account, show_addresses)
            if take_files is not None:
                hub.known.set_take_files(network, account, take_files)
            return _trust(hub, name)

        return self._ask(change)

    def devices(self, name: str) -> tuple[DeviceTrust, ...]:
        """Return the known devices of somebody with their safety codes, seen last first."""
        return self._ask(lambda hub: _devices(hub, name))

    def verify(self, name: str, fingerprint: str = "", *, verified: bool = True) -> DeviceTrust:
        """Note that the safety codes have been compared and are the same, or that they are not.

        A session with another device of theirs that is blocked by that is ended.

        :param fingerprint: its beginning will do. Empty: the device of the open session, or the
            only one.
        :raises LocalProtocolError: no device is known, or it is not clear which one is meant.
        """

        def mark(hub: Hub) -> DeviceTrust:
            chosen = _choose(_devices(hub, name), name, fingerprint)
            account = hub.key_of(name)
            hub.known.verify(hub.network, account, chosen.device.fingerprint, verified)
            contact = hub.find(name)
            if contact is not None and contact.blocked:
                contact.close(gettext_noop("another device was verified"))
            return _choose(_devices(hub, name), name, chosen.device.fingerprint)

        return self._ask(mark)

    def accept_device(self, name: str) -> None:
        """Accept the new device of a verified contact that was refused; it is not verified.

        :raises LocalProtocolError: none was refused.
        """

        def accept(hub: Hub) -> None:
            contact = hub.find(name)
            if contact is None:
                raise LocalProtocolError("no device of {name} was refused", name=name)
            contact.negotiation.accept_device()

        self._ask(accept)

    def _ask(self, work: Callable[[Hub], T]) -> T:
        def ask_hub() -> T:
            hub = self._connector.hub
            if hub is None:
                raise NetworkError(self._connector.why_no_hub)
            return work(hub)

        return self._connector.ask(ask_hub)


def _trust(hub: Hub, name: str) -> Trust:
    account = hub.account_of(name)
    known = hub.known.contact(hub.network, hub.key_of(name))
    return Trust(account, known.policy, known.show_addresses, known.take_files)


def _devices(hub: Hub, name: str) -> tuple[DeviceTrust, ...]:
    known = hub.known.contact(hub.network, hub.key_of(name))
    contact = hub.find(name)
    current = contact.fingerprint if contact is not None else ""
    account = hub.account_of(name)
    found = sorted(known.devices, key=lambda device: device.last_seen_ms, reverse=True)
    return tuple(
        DeviceTrust(
            account,
            device,
            safety_code(hub.own_key, hub.certificate, hub.key_of(name), device.certificate),
            device.fingerprint == current,
        )
        for device in found
    )


def _choose(devices: tuple[DeviceTrust, ...], name: str, fingerprint: str) -> DeviceTrust:
    if not devices:
        raise LocalProtocolError(
            "no device of {name} is known yet; it is after a first session", name=name
        )
    if fingerprint:
        found = [one for one in devices if one.device.fingerprint.startswith(fingerprint)]
    else:
        found = [one for one in devices if one.in_session] or list(devices)
    if len(found) != 1:
        raise LocalProtocolError(
            "{name} has {count} known devices; say which one", name=name, count=len(devices)
        )
    return found[0]
