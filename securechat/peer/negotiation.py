"""The offers between us and one account, from the question to the path.

There is one at a time::

    stage       what happens                         what follows
    ──────────  ───────────────────────────────────  ─────────────────────────────────────────────
    NONE        ask()                                ASKING: OFFER is said
    NONE        an offer; the user is to be asked    ASKED: PeerAsked
    NONE        an offer that needs no question      CONNECTING: ANSWER is said
    ASKING      an answer                            CONNECTING
    ASKING      an offer of a device that ours is    as in NONE, accepted, if its id is the lower:
                to as well                           ours is taken back
    any other   an offer                             WITHDRAW is said
    ASKED       accept()                             CONNECTING: ANSWER is said
    ASKED       decline()                            NONE: WITHDRAW is said
    CONNECTING  a path is picked                     NONE: ``picked``
    any         WITHDRAW, FAIL, no answer in time,   NONE: ``failed``
                no path in time

Whom we accept, and when it needs a question, is decided here: by what the user has set for the
contact (``Policy``), and by how far the device is known (``Safety``). Where that cannot be read,
there is no session. A session that looks for another path gets it from its own device alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from securechat.errors import LocalProtocolError, StoreError, TlsError, gettext_noop
from securechat.irc import peering
from securechat.irc.peering import FailCode, Signal, fingerprint_of
from securechat.net.timers import Timer
from securechat.peer.connector import Pair, Race
from securechat.peer.events import PeerAsked, PeerIdentityChanged
from securechat.peer.known_peers import Contact, Policy, Safety, safety_of
from securechat.peer.means import Means
from securechat.peer.path import Path

__all__ = ["ASK_S", "DECLINED", "Failure", "Negotiation", "NegotiationOwner", "Stage"]

ASK_S: Final = 120.0
"""How long somebody who is asked for a session has for the answer, in seconds."""

DECLINED: Final = gettext_noop("declined")
"""The reason of a WITHDRAW by which people, or what they have set, say no."""

_ANOTHER_OPEN: Final = gettext_noop("another offer is open")
_OTHER_DEVICE: Final = gettext_noop("its device is not the one that was verified, or known")
_TAKEN_BACK: Final = gettext_noop("taken back")
_UNREADABLE: Final = gettext_noop("it is not known there who may have a session")
_SOMEBODY_ELSE: Final = gettext_noop("somebody else has answered: {account}")


class Stage(enum.Enum):
    """How far an offer is; see the table above."""

    NONE = enum.auto()
    ASKING = enum.auto()
    ASKED = enum.auto()
    CONNECTING = enum.auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an offer came to nothing. ``final``: the other side, or we, do not want a session."""

    reason: str
    final: bool = False


class NegotiationOwner(Protocol):
    """Who is told what comes of it: the contact."""

    account: str
    nick: str

    @property
    def fingerprint(self) -> str:
        """Return the device with which there is a session already; empty if there is none."""

    def picked(self, path: Path, certificate: bytes, *, ours: bool) -> None:
        """Take the path. ``ours``: by an offer of ours."""

    def failed(self, failure: Failure) -> None:
        """Take note that there will be none."""


@dataclass(slots=True)
class _Offer:
    id: str
    ours: bool
    timer: Timer
    to: str = "*"  # the device that ours is to
    certificate: bytes = b""  # of the other side, once it is known
    race: Race | None = None


class Negotiation:
    """The offers between us and one account. Owned by the I/O thread."""

    def __init__(self, means: Means, owner: NegotiationOwner) -> None:
        self.stage = Stage.NONE
        self._means = means
        self._owner = owner
        self._offer: _Offer | None = None
        self._refused = b""  # the device that was refused last, until the user accepts it

    # ---- what the user wants ----

    def ask(self, fingerprint: str = "*") -> None:
        """Offer a session to a device of the account, or to all."""
        identifier = self._means.make_id()
        self._begin(
            _Offer(identifier, True, self._timer(gettext_noop("no answer")), fingerprint),
            Stage.ASKING,
        )
        self._means.signal(peering.offer(self._owner.account, identifier, fingerprint))

    def accept(self) -> None:
        """Accept the offer that we are asked about.

        :raises LocalProtocolError: there is none.
        """
        if self._offer is None or self.stage is not Stage.ASKED:
            raise LocalProtocolError("{nick} does not ask for a session", nick=self._owner.nick)
        self._connect(self._offer)

    def decline(self) -> None:
        """Decline the offer that we are asked about, or take ours back.

        :raises LocalProtocolError: there is none.
        """
        if self._offer is None:
            raise LocalProtocolError(
                "there is no offer between you and {nick}", nick=self._owner.nick
            )
        identifier, asked = self._offer.id, self.stage is Stage.ASKED
        self._end()
        self._means.signal(peering.withdraw(identifier, DECLINED if asked else _TAKEN_BACK))

    def accept_device(self) -> None:
        """Accept the device that was refused because the account has a verified one.

        :raises LocalProtocolError: none was refused.
        """
        if not self._refused:
            raise LocalProtocolError("no device of {nick} was refused", nick=self._owner.nick)
        means = self._means
        means.known.accept(means.network, self._account, self._refused, means.now_ms())
        self._refused = b""

    def stop(self, reason: str) -> bool:
        """End what there is; whether there was anything."""
        if self._offer is None:
            return False
        identifier = self._offer.id
        self._end()
        self._means.signal(peering.withdraw(identifier, reason))
        return True

    # ---- signals ----

    def offered(self, offer: peering.Offer) -> None:
        """Take an offer of theirs."""
        wanted = self._crosses(offer)
        if not wanted and self.stage is not Stage.NONE:
            self._means.signal(peering.withdraw(offer.id, _ANOTHER_OPEN))
            return
        self._take_back()
        try:
            self._consider(offer, wanted=wanted)
        except StoreError as error:
            self._means.signal(peering.withdraw(offer.id, _UNREADABLE))
            if wanted:
                self._owner.failed(Failure(str(error)))

    def signalled(self, signal: Signal) -> None:
        """Take a signal with the id of the offer that there is."""
        offer = self._offer
        assert offer is not None
        match signal:
            case peering.Answer() if self.stage is Stage.ASKING:
                self._answered(offer, signal)
            case peering.Candidates() if offer.race is not None:
                offer.race.candidates(signal.candidates)
            case peering.Token() if offer.race is not None:
                offer.race.token(signal.token, signal.relay)
            case peering.Withdraw():
                self._fail(Failure(signal.reason or _TAKEN_BACK, signal.reason == DECLINED))
            case _:
                pass  # not at this stage: too late, or a relay that plays

    def refused(self, code: FailCode | None, text: str) -> None:
        """Take note that the relay has refused what was said for the offer."""
        race = self._offer.race if self._offer is not None else None
        # Once there is a race, a tunnel is all that may be too much.
        if race is not None and code in (FailCode.NO_TUNNEL, FailCode.RATE_LIMITED):
            race.tunnel_refused(text)
        else:
            self._fail(Failure(text))

    def relay_lost(self) -> None:
        """Take note that nothing can be said to the relay now; a race may go on without it."""
        if self.stage in (Stage.ASKING, Stage.ASKED):
            self._fail(Failure(gettext_noop("the connection to the relay was lost")))

    # ---- whom we accept ----

    def _crosses(self, offer: peering.Offer) -> bool:
        """Whether it is in place of ours. The other side, which has got ours, sees it as we do."""
        ours = self._offer
        if ours is None or self.stage is not Stage.ASKING:
            return False
        return offer.id < ours.id and ours.to in ("*", fingerprint_of(offer.certificate))

    def _consider(self, offer: peering.Offer, *, wanted: bool) -> None:
        """Accept an offer, decline it, or ask the user. ``wanted``: we had offered the same.

        :raises StoreError: what is known of the contact cannot be read; nothing was done.
        """
        contact = self._known()
        fingerprint = fingerprint_of(offer.certificate)
        safety = safety_of(contact, fingerprint)
        current = self._owner.fingerprint
        refused = self._refuses(safety)
        if refused:
            self._refuse(offer.certificate)
        elif safety is Safety.CHANGED:
            self._warn(fingerprint, blocked=False)
        declined = refused or (contact.policy is Policy.NEVER and not wanted)
        if declined or current not in ("", fingerprint):
            self._means.signal(peering.withdraw(offer.id, DECLINED))
            if wanted:  # what we had asked for will not come
                self._owner.failed(Failure(_OTHER_DEVICE, final=True))
            return
        timer = self._timer(gettext_noop("not answered"))
        theirs = _Offer(offer.id, False, timer, certificate=offer.certificate)
        self._begin(theirs, Stage.ASKED)
        known = safety in (Safety.NEW, Safety.KNOWN, Safety.VERIFIED)
        if wanted or current == fingerprint or (contact.policy is Policy.ALWAYS and known):
            self._connect(theirs)
        else:
            self._means.emit(PeerAsked(self._owner.account, self._owner.nick, fingerprint, safety))

    def _answered(self, offer: _Offer, answer: peering.Answer) -> None:
        if self._means.fold(answer.account) != self._account:
            self._take_back()
            self._owner.failed(Failure(_SOMEBODY_ELSE.format(account=answer.account)))
            return
        if offer.to not in ("*", fingerprint_of(answer.certificate)):
            self._take_back()  # what waits in the session is for the device that we have asked
            self._owner.failed(Failure(gettext_noop("another device has answered")))
            return
        offer.certificate = answer.certificate
        self._connect(offer)

    def _refuses(self, safety: Safety) -> bool:
        changed = safety is Safety.CHANGED and self._means.refuse_changed
        return changed or safety is Safety.BLOCKED

    def _refuse(self, certificate: bytes) -> None:
        self._refused = certificate
        self._warn(fingerprint_of(certificate), blocked=True)

    def _warn(self, fingerprint: str, *, blocked: bool) -> None:
        owner = self._owner
        self._means.emit(PeerIdentityChanged(owner.account, owner.nick, fingerprint, blocked))

    # ---- from an answer to a path ----

    def _connect(self, offer: _Offer) -> None:
        """Look for a path, if the device may have one; accept the offer, if it is theirs."""
        means, fingerprint = self._means, fingerprint_of(offer.certificate)
        try:
            contact = self._known()
            safety = safety_of(contact, fingerprint)
            if self._refuses(safety):  # also where another was verified since we were asked
                self._take_back()
                self._refuse(offer.certificate)
                self._owner.failed(Failure(_OTHER_DEVICE, final=True))
                return
            offer.race = Race(
                means,
                Pair(offer.id, offer.ours, offer.certificate),
                means.door() if contact.show_addresses else None,
                picked=self._picked,
                failed=self._no_path,
            )
        except (StoreError, TlsError) as error:
            self._take_back()
            self._owner.failed(Failure(str(error)))
            return
        offer.timer.cancel()
        self.stage = Stage.CONNECTING
        if not offer.ours:
            means.signal(peering.answer(offer.id))
        elif safety is Safety.CHANGED:
            self._warn(fingerprint, blocked=False)
        offer.race.start()

    def _picked(self, path: Path) -> None:
        offer = self._offer
        assert offer is not None
        self._end()
        # The answerer is the last to know of the choice: so it is the one that ends the pair.
        if not offer.ours:
            self._means.signal(peering.withdraw(offer.id, "connected"))
        self._owner.picked(path, offer.certificate, ours=offer.ours)

    def _no_path(self, reason: str) -> None:
        self._take_back()
        self._owner.failed(Failure(reason))

    # ---- beginning and end ----

    @property
    def _account(self) -> str:
        return self._means.fold(self._owner.account)

    def _known(self) -> Contact:
        return self._means.known.contact(self._means.network, self._account)

    def _timer(self, reason: str) -> Timer:
        return self._means.io.call_later(ASK_S, lambda: self._late(reason))

    def _late(self, reason: str) -> None:
        self._take_back()
        self._owner.failed(Failure(reason))

    def _begin(self, offer: _Offer, stage: Stage) -> None:
        self._offer, self.stage = offer, stage
        self._means.claim(offer.id, self)

    def _take_back(self) -> None:
        if self._offer is not None:
            identifier = self._offer.id
            self._end()
            self._means.signal(peering.withdraw(identifier, _TAKEN_BACK))

    def _fail(self, failure: Failure) -> None:
        self._end()
        self._owner.failed(failure)

    def _end(self) -> None:
        offer, self._offer = self._offer, None
        self.stage = Stage.NONE
        if offer is not None:
            offer.timer.cancel()
            self._means.claim(offer.id, None)
            if offer.race is not None:
                offer.race.stop()
