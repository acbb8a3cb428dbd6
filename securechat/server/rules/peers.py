"""Peers: which devices can be reached, and which two are about to have a direct session.

What is said to whom, and why, is in ``securechat.irc.peering``. An id that does not concern a
session is to it one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc.peering import COMMAND, FailCode, fingerprint_of
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Fail
from securechat.server.rules.rule import Rule
from securechat.server.state import AnnouncedDevice, Author, Pair, User, relay_of

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = [
    "DEVICES_PER_ACCOUNT",
    "OFFERS_BETWEEN_ACCOUNTS",
    "OFFERS_PER_ACCOUNT",
    "PAIRS_PER_SESSION",
    "RULES",
    "end_announcement",
    "find_tunnel",
    "peer_failure",
]

DEVICES_PER_ACCOUNT: Final = 20
"""Most devices of one account, known or announced: all of a person's, and some to spare."""

PAIRS_PER_SESSION: Final = 32
"""Most offers and pairs that one session has made, not yet ended: more people than anybody speaks
with directly at once, and a bound on what it costs the relay to forget a session."""

OFFERS_PER_ACCOUNT: Final = 32
"""Most open offers to one account: more than anybody can look at, and no flood on the screen."""

OFFERS_BETWEEN_ACCOUNTS: Final = 4
"""Most open offers from one account to another: one for each device that somebody sits at; and one
person does not take the room of all others."""

_RETRACTED: Final = "can be reached no longer"
_REPLACED: Final = "is another device now"
_ANSWERED: Final = "answered by another device"
"""Why an offer or a pair is over, where nobody gave a reason."""

_NO_ADDRESS: Final = (
    "The two of you are on different relays, and this one has no address to tell the other side"
)

_TEXTS: Final[Mapping[FailCode, str]] = {
    FailCode.ACCOUNT_REQUIRED: "Log in to an account first",
    FailCode.NOT_ANNOUNCED: "Announce a device first",
    FailCode.INVALID_CERTIFICATE: "This is not the certificate of a device",
    FailCode.TOO_MANY_DEVICES: f"An account has {DEVICES_PER_ACCOUNT} devices at most",
    FailCode.INVALID_PARAMS: "A parameter is missing or has not its form",
    FailCode.NO_SUCH_PEER: "Nobody of that name can be reached as a peer",
    FailCode.NO_SUCH_OFFER: "There is no such offer",
    FailCode.ID_IN_USE: "There is an offer of that id already",
    FailCode.TOO_MANY_OFFERS: "There are too many offers that nobody has answered or ended",
}


def peer_failure(code: FailCode, subcommand: str, about: str = "*", text: str = "") -> Fail:
    """Return the refusal of a signal; ``about`` is the id or name in it."""
    return Fail(COMMAND, code, subcommand, about, text=text or _TEXTS[code])


# ---- devices ----


def announce(network: Network, event: events.Announce) -> list[Effect]:
    """Have a session reached as a device, in place of the one that it was before."""
    stamp, session = event.stamp, event.stamp.session
    user = network.sessions[session]
    account = network.account_key(user)
    if account is None:
        raise peer_failure(FailCode.ACCOUNT_REQUIRED, "ANNOUNCE")
    fingerprint, before = fingerprint_of(event.certificate), network.announced.get(session)
    if before is not None and before.fingerprint == fingerprint:
        return []
    others = {
        network.announced[key].fingerprint: None
        for key in network.reachable.get(account, ())
        if key != session
    }
    if fingerprint not in others and len(others) >= DEVICES_PER_ACCOUNT:
        raise peer_failure(FailCode.TOO_MANY_DEVICES, "ANNOUNCE")
    was_reachable = _is_reachable(network, user)
    found = _take_back(network, stamp, user.author, session, _REPLACED)
    network.announced[session] = AnnouncedDevice(account, fingerprint, event.certificate)
    network.reachable.setdefault(account, {})[session] = None
    announced = tuple({**others, fingerprint: None})
    found.append(
        effects.DeviceAnnounced(stamp, user, account, fingerprint, event.certificate, announced)
    )
    return found if was_reachable else [*found, _reachability(network, stamp, user, now=True)]


def retract(network: Network, event: events.Retract) -> list[Effect]:
    """Have a session reached no longer; it may not have been."""
    session = event.stamp.session
    return end_announcement(network, event.stamp, network.sessions[session], session, _RETRACTED)


def end_announcement(
    network: Network, stamp: Stamp, user: User, session: SessionId, reason: str
) -> list[Effect]:
    """End what a session of ``user`` has announced, and with it all that was offered or agreed.

    ``user`` is still where they were, and who they were. Does nothing if nothing was announced.
    """
    if session not in network.announced:
        return []
    found = _take_back(network, stamp, user.author, session, reason)
    if _is_reachable(network, user):
        return found
    return [*found, _reachability(network, stamp, user, now=False)]


def _take_back(
    network: Network, stamp: Stamp, author: Author, session: SessionId, reason: str
) -> list[Effect]:
    device = network.announced.pop(session, None)
    if device is None:
        return []
    sessions = network.reachable[device.account]
    del sessions[session]
    if not sessions:
        del network.reachable[device.account]
    found: list[Effect] = []
    for identifier in list(network.pairs_of.get(session, ())):
        found += _leave(network, stamp, author, session, identifier, reason)
    return [*found, effects.DeviceRetracted(stamp, session, device.account, device.fingerprint)]


def _is_reachable(network: Network, user: User) -> bool:
    return any(session in network.announced for session in user.sessions)


def _reachability(network: Network, stamp: Stamp, user: User, *, now: bool) -> Effect:
    """Return what tells that a user can be reached ``now``, or not: to none who is a guest."""
    audience = tuple(other for other in network.audience(user) if other.account is not None)
    watchers = tuple(
        session
        for session in network.watching(user.nick)
        if network.sessions[session].account is not None
    )
    return effects.ReachabilityChanged(stamp, user, user.author, now, audience, watchers)


# ---- offers and pairs ----


def offer(network: Network, event: events.Offer) -> list[Effect]:
    """Offer a session to the devices of an account that can be reached, or to the one named."""
    session, identifier = event.stamp.session, event.id
    device = network.announced.get(session)
    if device is None:
        raise peer_failure(FailCode.NOT_ANNOUNCED, "OFFER", identifier)
    if identifier in network.pairs:
        raise peer_failure(FailCode.ID_IN_USE, "OFFER", identifier)
    account = network.fold(event.account)
    to = tuple(
        key
        for key in network.reachable.get(account, ())
        if key != session and event.fingerprint in ("*", network.announced[key].fingerprint)
    )
    if not to:
        raise peer_failure(FailCode.NO_SUCH_PEER, "OFFER", identifier)
    if _has_too_many(network, session, device.account, account):
        raise peer_failure(FailCode.TOO_MANY_OFFERS, "OFFER", identifier)
    pair = network.pairs[identifier] = Pair(session, account, dict.fromkeys(to))
    for key in pair.sessions:
        network.pairs_of.setdefault(key, {})[identifier] = None
    author = network.sessions[session].author
    return [effects.Offered(event.stamp, author, device.certificate, identifier, to)]


def _has_too_many(network: Network, session: SessionId, own: str, account: str) -> bool:
    """Whether ``session``, of the account ``own``, may offer nothing more to ``account``."""
    concerning = (network.pairs[identifier] for identifier in network.pairs_of.get(session, ()))
    if sum(pair.offerer == session for pair in concerning) >= PAIRS_PER_SESSION:
        return True
    senders = [network.announced[pair.offerer].account for pair in _open_offers(network, account)]
    return len(senders) >= OFFERS_PER_ACCOUNT or senders.count(own) >= OFFERS_BETWEEN_ACCOUNTS


def _open_offers(network: Network, account: str) -> Iterator[Pair]:
    """Yield the offers to ``account`` that nobody has answered, each once."""
    concerning = {
        identifier: None
        for session in network.reachable.get(account, ())
        for identifier in network.pairs_of.get(session, ())
    }
    for identifier in concerning:
        pair = network.pairs[identifier]
        if pair.account == account and pair.answerer is None:
            yield pair


def answer(network: Network, event: events.Answer) -> list[Effect]:
    """Make a pair of an offer; the other devices that it was made to are told that it is gone."""
    stamp, session, identifier = event.stamp, event.stamp.session, event.id
    pair = network.pairs.get(identifier)
    if pair is None or session not in pair.offered:
        raise peer_failure(FailCode.NO_SUCH_OFFER, "ANSWER", identifier)
    del pair.offered[session]
    others, pair.offered = tuple(pair.offered), {}
    pair.answerer = session
    for other in others:
        _forget(network, other, identifier)
    author = network.sessions[session].author
    certificate = network.announced[session].certificate
    answered = effects.Answered(stamp, author, certificate, identifier, pair.offerer)
    if not others:
        return [answered]
    return [answered, effects.PairEnded(stamp, author, identifier, _ANSWERED, others)]


def _other_side(
    network: Network, session: SessionId, identifier: str, subcommand: str
) -> SessionId:
    """Return with whom a session is in the pair of that id.

    :raises Fail: it is in none; for the signal ``subcommand``.
    """
    pair = network.pairs.get(identifier)
    if pair is not None and pair.answerer is not None:
        if session == pair.offerer:
            return pair.answerer
        if session == pair.answerer:
            return pair.offerer
    raise peer_failure(FailCode.NO_SUCH_OFFER, subcommand, identifier)


def send_candidates(network: Network, event: events.SendCandidates) -> list[Effect]:
    """Tell the other side of a pair where this one can be reached directly."""
    session = event.stamp.session
    to = _other_side(network, session, event.id, "CANDIDATES")
    author = network.sessions[session].author
    return [effects.CandidatesSent(event.stamp, author, event.id, event.candidates, to)]


def find_tunnel(network: Network, session: SessionId, identifier: str) -> tuple[SessionId, str]:
    """Return with whom a session is in the pair of that id, and where their tunnel would be: the
    address of the session's relay, empty if that has none and both are connected to it.

    :raises Fail: there is no such pair; or the other side cannot be told where to go.
    """
    other, at = _other_side(network, session, identifier, "TUNNEL"), relay_of(session)
    address = next((each.address for each in network.relays.values() if each.incarnation == at), "")
    if not address and relay_of(other) != at:
        raise peer_failure(FailCode.NO_TUNNEL, "TUNNEL", identifier, _NO_ADDRESS)
    return other, address


def grant_tunnel(network: Network, event: events.GrantTunnel) -> list[Effect]:
    """Give both sides of a pair their tokens."""
    session = event.stamp.session
    other, relay = find_tunnel(network, session, event.id)
    tokens = ((session, event.token), (other, event.other_token))
    return [effects.TunnelGranted(event.stamp, event.id, relay, tokens)]


def withdraw(network: Network, event: events.Withdraw) -> list[Effect]:
    """Take back an offer, decline one, or end a pair."""
    session = event.stamp.session
    if event.id not in network.pairs_of.get(session, ()):
        raise peer_failure(FailCode.NO_SUCH_OFFER, "WITHDRAW", event.id)
    author = network.sessions[session].author
    return _leave(network, event.stamp, author, session, event.id, event.reason)


def _leave(
    network: Network,
    stamp: Stamp,
    author: Author,
    session: SessionId,
    identifier: str,
    reason: str,
) -> list[Effect]:
    """Take a session out of an offer or pair, which ends unless other devices may still answer."""
    pair = network.pairs[identifier]
    if session in pair.offered and len(pair.offered) > 1:
        del pair.offered[session]
        _forget(network, session, identifier)
        return []
    for key in pair.sessions:
        _forget(network, key, identifier)
    del network.pairs[identifier]
    others = tuple(key for key in pair.sessions if key != session)
    return [effects.PairEnded(stamp, author, identifier, reason, others)]


def _forget(network: Network, session: SessionId, identifier: str) -> None:
    identifiers = network.pairs_of[session]
    del identifiers[identifier]
    if not identifiers:
        del network.pairs_of[session]


RULES: Final[Mapping[type[Event], Rule]] = {
    events.Announce: announce,
    events.Retract: retract,
    events.Offer: offer,
    events.Answer: answer,
    events.SendCandidates: send_candidates,
    events.GrantTunnel: grant_tunnel,
    events.Withdraw: withdraw,
}
"""The rule of each event."""
