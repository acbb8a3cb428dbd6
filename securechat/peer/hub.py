"""All peers of one client: who there is, and whom a signal is for.

The client gives it a way to say signals and the news of its connection to the relay; it gives back
events. All of it runs on the client's I/O thread, with the connections to the peers.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from securechat.errors import LocalProtocolError, NetworkError, StoreError, gettext_noop
from securechat.irc import peering
from securechat.irc.message import Message
from securechat.irc.peering import Candidate, FailCode, Signal
from securechat.net.io_thread import IoThread
from securechat.net.timers import Timer
from securechat.peer.candidates import local_addresses, why_refused
from securechat.peer.connector import SEND_LIMIT_BYTES
from securechat.peer.contact import Contact
from securechat.peer.disk import Disk
from securechat.peer.door import Door
from securechat.peer.events import PeerClosed, PeerEvent, PeerReachable, PeerSnapshot
from securechat.peer.identity import Device
from securechat.peer.known_peers import FILE_NAME, KnownPeers
from securechat.peer.means import Means, RelayRoute, SignalTaker
from securechat.peer.negotiation import Stage
from securechat.peer.port_mapping import PortMapper
from securechat.peer.transfers import Transfers, TransferSnapshot

__all__ = ["Hub", "Settings"]

_log = logging.getLogger(__name__)

LOOKUP_S: Final = 15.0
"""How long the relay may take to say which devices somebody has."""

DEVICES_FOUND: Final = 100
"""Most devices taken of one answer: more than a relay keeps for an account."""

CONTACTS_KEPT: Final = 1_000
"""Accounts remembered, by what they were called. Those with which there is nothing are forgotten
for others; where there is something with all, further offers are declined."""

REACHABLE_KEPT: Final = 10_000
"""Most accounts of which it is noted that they can be reached: more than a relay has people."""

DOOR_S: Final = 60.0
"""How often it is looked whether anybody is still expected at the door; if not, it is shut."""

_TOO_MANY_OFFERS: Final = gettext_noop("too many offers are open")
_NOT_REACHABLE: Final = gettext_noop("{name} cannot be reached as a peer now")
_SOMEBODY_ELSE: Final = gettext_noop("the relay takes {name} for {account}, but you know a {name}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client deals with peers. Immutable.

    :param folder: for the device's key, and what is known of others (``default_folder``).
    :param downloads: for received files.
    :param allow_loopback: take candidates of this machine; for tests.
    :param upnp: have the router let peers in; needs the extra ``upnp``, see ``port_mapping``.
    :param refuse_changed: take no other device of somebody than those that are known already, as if
        one of them were verified: for programs where nobody would see the warning.
    """

    folder: Path
    downloads: Path
    allow_loopback: bool = False
    upnp: bool = False
    refuse_changed: bool = False


@dataclass(slots=True)
class _Lookup:
    name: str
    timer: Timer


class Hub:
    """The peers of one client. Owned by the I/O thread; made and used there.

    :param network: names the relay among others that the user may have.
    :param signal: says something to the relay; dropped while there is no connection to it.
    :param emit: takes the events.
    :raises StoreError: what is known of others cannot be read.
    """

    def __init__(
        self,
        io: IoThread,
        device: Device,
        settings: Settings,
        network: str,
        *,
        signal: Callable[[Message], None],
        emit: Callable[[PeerEvent], None],
    ) -> None:
        self.known = KnownPeers(settings.folder / FILE_NAME)
        self.network = network
        self.disk = Disk(io.post)
        self.account = ""  # our own, while we are logged in
        self._settings = settings
        self._io = io
        self._emit = emit
        self._fold: Callable[[str], str] = str.lower
        self._route: RelayRoute | None = None
        self._observed = ""  # our address, as the relay sees it
        self._door: Door | None = None
        self._outside: Candidate | None = None  # a port of the router that leads to the door
        self._contacts: dict[str, Contact] = {}  # by folded account
        self._reachable: dict[str, PeerReachable] = {}  # by folded account
        self._claims: dict[str, SignalTaker] = {}  # by the id of an offer
        self._lookups: dict[str, _Lookup] = {}  # by folded name
        self._found: list[peering.DeviceFound] = []  # of the next answer
        self._means = Means(
            io=io,
            device=device,
            known=self.known,
            network=network,
            fold=lambda name: self._fold(name),
            signal=signal,
            claim=self._claim,
            emit=emit,
            route=lambda: self._route,
            door=self._open_door,
            own_candidates=self._own_candidates,
            allow_loopback=settings.allow_loopback,
            refuse_changed=settings.refuse_changed,
            make_id=lambda: secrets.token_hex(16),
            make_file=lambda: secrets.randbits(63),
            now_ms=lambda: time.time_ns() // 1_000_000,
            numbers=itertools.count(1),
            disk=self.disk,
            downloads=settings.downloads,
        )
        self._mapper = PortMapper(io.post, self._port_mapped) if settings.upnp else None

    # ---- the connection to the relay ----

    def relay_up(self, account: str, fold: Callable[[str], str], route: RelayRoute) -> None:
        """We are logged in to a relay that knows of peers: be found there.

        With another account than before we are somebody else: what there was is ended.
        """
        if self.account and fold(account) != self.own_key:
            self.end_all(gettext_noop("logged in to another account"))
        self.account, self._fold, self._route = account, fold, route
        if self._mapper is not None and self._door is not None:  # there may be another router now
            self._mapper.open(self._door.port)
        self._means.signal(peering.announce(self._means.device.certificate))
        self._means.signal(peering.list_reachable())

    def relay_down(self) -> None:
        """The connection to the relay is gone; sessions that have a path of their own go on."""
        self._route = None
        self._reachable.clear()
        self._found.clear()
        for lookup in self._take_lookups():
            self._not_found(lookup.name, gettext_noop("the connection to the relay was lost"))
        for contact in list(self._contacts.values()):
            contact.negotiation.relay_lost()

    def signalled(self, signal: Signal) -> None:
        """Take what the relay tells."""
        match signal:
            case peering.Announced():
                self._observed = signal.address
            case peering.Reachable():
                self._note_reachable(signal)
            case peering.DeviceFound():
                if len(self._found) < DEVICES_FOUND:
                    self._found.append(signal)
            case peering.End(subcommand="LOOKUP"):
                self._looked_up(signal.name)
            case peering.Offer():
                self._offered(signal)
            case peering.Answer() | peering.Candidates() | peering.Token() | peering.Withdraw():
                taker = self._claims.get(signal.id)
                if taker is not None:
                    taker.signalled(signal)
            case _:
                pass

    def refused(self, code: str, context: tuple[str, ...], text: str) -> bool:
        """Take a FAIL PEER of the relay; false if it is one for the user."""
        subcommand, about = (*context, "", "")[:2]
        taker = self._claims.get(about)
        if taker is not None:
            known = code in FailCode.__members__
            taker.refused(FailCode[code] if known else None, text)
        elif subcommand == "LOOKUP":
            self._found.clear()
            self._not_looked_up(about, text)
        else:
            # What ended meanwhile needs no further word.
            return subcommand in ("ANSWER", "CANDIDATES", "TUNNEL", "WITHDRAW")
        return True

    def renamed(self, old: str, new: str) -> None:
        """Take note that somebody on the relay has another nick."""
        for contact in self._contacts.values():
            if self._fold(contact.nick) == self._fold(old):
                contact.nick = new
        for key, who in self._reachable.items():
            if self._fold(who.nick) == self._fold(old):
                self._reachable[key] = replace(who, nick=new)

    # ---- what the user wants ----

    def find(self, name: str) -> Contact | None:
        """Return the contact of that account, or else the one that was called so last."""
        folded = self._fold(name)
        if folded in self._contacts:
            return self._contacts[folded]
        named = [c for c in self._contacts.values() if self._fold(c.nick) == folded]
        if not named or self._is_known(name):
            return None
        return next((contact for contact in named if not contact.idle), named[0])

    def contact(self, name: str) -> Contact:
        """Return the contact of that account or nick.

        :raises LocalProtocolError: there is nothing between us.
        """
        found = self.find(name)
        if found is None or found.idle:
            raise LocalProtocolError("there is no session with {name}", name=name)
        return found

    def account_of(self, name: str) -> str:
        """Return the account that ``name`` means: that of a nick we know of, or the name itself."""
        found = self.find(name)
        if found is not None:
            return found.account
        folded = self._fold(name)
        called = (r.account for r in self._reachable.values() if self._fold(r.nick) == folded)
        return name if self._is_known(name) else next(called, name)

    def key_of(self, name: str) -> str:
        """Return that account folded: what it is known by in ``known``."""
        return self._fold(self.account_of(name))

    @property
    def own_key(self) -> str:
        """Our own account, folded."""
        return self._fold(self.account)

    @property
    def certificate(self) -> bytes:
        """The certificate of our device."""
        return self._means.device.certificate

    @property
    def downloads(self) -> Path:
        """The folder for received files."""
        return self._means.downloads

    def transfers(self) -> tuple[TransferSnapshot, ...]:
        """Return the files that are offered or on their way, of all contacts."""
        return tuple(one for contact in self._contacts.values() for one in contact.files())

    def transfers_of(self, transfer: int) -> Transfers:
        """Return the transfers of which that number is one.

        :raises LocalProtocolError: there is none of that number.
        """
        for contact in self._contacts.values():
            if any(one.transfer == transfer for one in contact.files()):
                return contact.transfers
        raise LocalProtocolError("there is no file {transfer}", transfer=transfer)

    def open(self, name: str) -> None:
        """Ask that person for a session, or accept theirs; events tell what comes of it.

        :raises LocalProtocolError: there is one, or we have asked already.
        :raises NetworkError: we are not logged in to a relay that knows of peers.
        """
        found = self.find(name)
        if found is not None and not found.idle:
            found.open()
            return
        if self._route is None:
            raise NetworkError("nobody can be asked without a login to the relay")
        if self._fold(name) in self._lookups:
            raise LocalProtocolError("{name} has been asked already", name=name)
        self._means.signal(peering.look_up(name))
        # The timer is the last resort: a relay answers, or the connection is lost.
        timer = self._io.call_later(
            LOOKUP_S, lambda: self._not_looked_up(name, gettext_noop("the relay does not answer"))
        )
        self._lookups[self._fold(name)] = _Lookup(name, timer)

    def snapshot(self) -> tuple[PeerSnapshot, ...]:
        """Return who can be reached, and with whom there is something, by account."""
        found = {key: contact.snapshot() for key, contact in self._contacts.items()}
        here = {key: value for key, value in found.items() if value is not None}
        for key, who in self._reachable.items():
            reachable = PeerSnapshot(who.account, who.nick, "reachable", None, "", None, 0.0, 0.0)
            here.setdefault(key, reachable)
        return tuple(here[key] for key in sorted(here))

    def end_all(self, reason: str) -> None:
        """End all sessions, and all that is asked."""
        for contact in list(self._contacts.values()):
            contact.close(reason)
        self._contacts.clear()
        for lookup in self._take_lookups():
            self._not_found(lookup.name, reason)

    def stop(self, reason: str) -> None:
        """End all sessions, and be done: nothing may be asked of it any more."""
        self.end_all(reason)
        self._shut_door()
        self.known.close()

    def close(self) -> None:
        """Wait for the disk and the router, once the I/O thread has ended. Blocks; not for that
        thread.
        """
        self.disk.close()
        if self._mapper is not None:
            self._mapper.close()

    # ---- inside ----

    def _is_known(self, name: str) -> bool:
        """Whether an account of that name has pinned devices. Then it is the one that is meant,
        whomever else the relay lets be called so.
        """
        return bool(self.known.contact(self.network, self._fold(name)).devices)

    def _offered(self, offer: peering.Offer) -> None:
        if self._fold(offer.account) in self._contacts or self._make_room():
            self._contact(offer.account, offer.nick).negotiation.offered(offer)
        else:
            self._means.signal(peering.withdraw(offer.id, _TOO_MANY_OFFERS))

    def _contact(self, account: str, nick: str) -> Contact:
        key = self._fold(account)
        contact = self._contacts.get(key)
        if contact is None:
            self._make_room()
            contact = self._contacts[key] = Contact(self._means, account, nick or account)
        contact.nick = nick or contact.nick
        return contact

    def _make_room(self) -> bool:
        """Forget, if need be, those with whom there is nothing; whether one more may come."""
        if len(self._contacts) >= CONTACTS_KEPT:
            self._contacts = {key: c for key, c in self._contacts.items() if not c.idle}
        return len(self._contacts) < CONTACTS_KEPT

    def _claim(self, identifier: str, taker: SignalTaker | None) -> None:
        if taker is None:
            self._claims.pop(identifier, None)
        else:
            self._claims[identifier] = taker

    def _note_reachable(self, signal: peering.Reachable) -> None:
        key = self._fold(signal.account)
        event = PeerReachable(signal.account, signal.nick, signal.now)
        if not signal.now:
            self._reachable.pop(key, None)
        elif key in self._reachable or len(self._reachable) < REACHABLE_KEPT:
            self._reachable[key] = event
        else:
            return
        if key in self._contacts:
            self._contacts[key].nick = signal.nick
        self._emit(event)

    # ---- looking up ----

    def _looked_up(self, name: str) -> None:
        found, self._found = self._found, []
        if not self._take_lookup(name):
            return  # that was too late
        reachable = next((device for device in found if device.reachable), None)
        if reachable is None:
            self._not_found(name, _NOT_REACHABLE.format(name=name))
            return
        try:
            other = self._fold(reachable.account) != self._fold(name) and self._is_known(name)
        except StoreError as error:
            self._not_found(name, str(error))
            return
        if other:
            self._not_found(name, _SOMEBODY_ELSE.format(name=name, account=reachable.account))
            return
        contact = self._contact(reachable.account, reachable.nick)
        if contact.idle or contact.negotiation.stage is Stage.ASKED:  # they were faster
            contact.open()

    def _not_looked_up(self, name: str, reason: str) -> None:
        if self._take_lookup(name):
            self._not_found(name, reason)

    def _not_found(self, name: str, reason: str) -> None:
        self._emit(PeerClosed(name, name, reason, False))

    def _take_lookup(self, name: str) -> bool:
        """Whether that was asked, and not answered before."""
        lookup = self._lookups.pop(self._fold(name), None)
        if lookup is None:
            return False
        lookup.timer.cancel()
        return True

    def _take_lookups(self) -> list[_Lookup]:
        lookups, self._lookups = list(self._lookups.values()), {}
        for lookup in lookups:
            lookup.timer.cancel()
        return lookups

    # ---- where we can be reached ----

    def _open_door(self) -> Door | None:
        if self._door is None:
            try:
                self._door = Door(self._io, SEND_LIMIT_BYTES)
            except NetworkError as error:
                _log.warning("no direct sessions: %s", error)
                return None
            self._io.call_later(DOOR_S, self._look_at_door)
            if self._mapper is not None:
                self._mapper.open(self._door.port)
        return self._door

    def _look_at_door(self) -> None:
        if self._door is None:
            return
        if self._door.expecting:
            self._io.call_later(DOOR_S, self._look_at_door)
        else:
            self._shut_door()

    def _shut_door(self) -> None:
        door, self._door, self._outside = self._door, None, None
        if door is not None:
            door.close()
            if self._mapper is not None:
                self._mapper.shut()

    def _port_mapped(self, port: int, candidate: Candidate | None) -> None:
        if self._door is None or self._door.port != port:
            return  # it was shut meanwhile
        self._outside = candidate
        if candidate is not None and self._is_usable(candidate):
            self._door.reachable_at(candidate)

    def _own_candidates(self, door: Door) -> list[Candidate]:
        toward = self._route.address if self._route is not None else None
        addresses = [*local_addresses(toward), self._observed]
        if self._settings.allow_loopback:
            addresses.append("127.0.0.1")
        found = [Candidate(address, door.port) for address in dict.fromkeys(addresses) if address]
        if self._outside is not None:
            found.append(self._outside)
        return [one for one in found if self._is_usable(one)]

    def _is_usable(self, candidate: Candidate) -> bool:
        loopback = self._settings.allow_loopback
        return not why_refused(candidate, relay=None, allow_loopback=loopback)
