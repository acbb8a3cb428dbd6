"""PEER: who can be reached directly, and the signals by which two devices agree on a session.

What each signal means, who gets what, and the rules are in ``securechat.irc.peering``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from securechat.errors import RemoteProtocolError
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.peering import (
    COMMAND,
    REASON_BYTES,
    FailCode,
    certificate_tag,
    fingerprint_of,
    is_fingerprint,
    is_id,
    parse_candidates,
    parse_certificate,
)
from securechat.irc.tags import format_tags
from securechat.irc.text import cut_text
from securechat.server import events
from securechat.server.commands.settings import ask_store
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.peers import find_tunnel, peer_failure
from securechat.server.state import UserId
from securechat.server.visibility import sees_user, shown_address
from securechat.store.connection import Connection
from securechat.store.devices import PeerDevice, PeerDevices

__all__: list[str] = []

_TOKEN_BYTES: Final = 32
"""Of a token for a tunnel: 256 random bits, which nobody guesses."""


@command(COMMAND)
def peer(context: Context, message: Message) -> Iterator[None] | None:
    """PEER <subcommand> [<parameter>…].

    Find the devices of others, and agree with them on a session without the relay in between;
    clients do this by themselves. There are ANNOUNCE, RETRACT, LOOKUP <nick or account>, LIST,
    OFFER <account> <fingerprint or *> <id>, ANSWER <id>, CANDIDATES <id> <candidates>,
    TUNNEL <id> and WITHDRAW <id> [<reason>].
    """
    if not context.session.caps & caps.PEER:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    if not message.params:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    word, *params = message.params
    subcommand = word.upper()
    entry = _SUBCOMMANDS.get(subcommand)
    if entry is None:
        text = "There is no such subcommand"
        raise peer_failure(FailCode.INVALID_PARAMS, as_middle(word), text=text)
    about = as_middle(params[entry.id_at]) if 0 <= entry.id_at < len(params) else "*"
    if context.user.account is None:
        raise peer_failure(FailCode.ACCOUNT_REQUIRED, subcommand, about)
    if len(params) < entry.least or (entry.id_at >= 0 and not is_id(about)):
        raise peer_failure(FailCode.INVALID_PARAMS, subcommand, about)
    return entry.handler(context, params)


# ---- who can be reached ----


def _announce(context: Context, params: Sequence[str]) -> None:
    _slow_down(context, "ANNOUNCE")
    try:
        certificate = parse_certificate(context.message)
    except RemoteProtocolError as error:
        raise peer_failure(FailCode.INVALID_CERTIFICATE, "ANNOUNCE") from error
    _check_device(certificate)
    session = context.session
    # Of a client behind a web gateway only the address is known.
    port = session.connection.peer_port if not session.gateway else 0
    seen = shown_address(session.address), str(port)
    context.propose(
        events.Announce(context.stamp(), certificate),
        lambda: context.send(COMMAND, "ANNOUNCED", fingerprint_of(certificate), *seen),
    )


def _check_device(certificate: bytes) -> None:
    """Refuse what no device has: what is not X.509, or of another issuer, or of no key on P-256.

    Signature and dates are not looked at. Peers trust just the certificate that they were told, and
    TLS proves that the other side has its key; that it signed itself would say nothing more.
    """
    try:
        read = x509.load_der_x509_certificate(certificate)
        key, self_issued = read.public_key(), read.issuer == read.subject
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise peer_failure(FailCode.INVALID_CERTIFICATE, "ANNOUNCE") from error
    usable = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not (usable and self_issued):
        raise peer_failure(FailCode.INVALID_CERTIFICATE, "ANNOUNCE")


def _retract(context: Context, params: Sequence[str]) -> None:
    context.propose(events.Retract(context.stamp()))


def _look_up(context: Context, params: Sequence[str]) -> None:
    name, network = params[0], context.services.network
    user = network.find_user(name)
    account = user.account if user is not None else network.accounts.get(network.fold(name))
    if account is None:
        raise peer_failure(FailCode.NO_SUCH_PEER, "LOOKUP", as_middle(name))
    work = partial(_devices_of, network.fold(account))
    ask_store(context, work, partial(_looked_up, context, name, account), "LOOKUP", name)


def _devices_of(account: str, connection: Connection) -> tuple[PeerDevice, ...]:
    """On the store thread."""
    return PeerDevices(connection).list(account)


def _looked_up(context: Context, name: str, account: str, devices: tuple[PeerDevice, ...]) -> None:
    if context.session.ended:  # nobody is there to be told
        return
    services, nick = context.services, _nick_of(context, name, account)
    network = services.network
    sessions = network.reachable.get(network.fold(account), ())
    reachable = {network.announced[key].fingerprint: network.announced[key] for key in sessions}
    now_ms = services.now_ms()
    kept = {device.fingerprint for device in devices}
    # What was announced a moment ago may still be on its way to the store, from another relay.
    unkept = (
        PeerDevice(name, device.certificate, now_ms, now_ms)
        for name, device in reachable.items()
        if name not in kept
    )
    for device in (*devices, *unkept):
        now = device.fingerprint in reachable
        last_ms = now_ms if now else device.last_ms
        params = (
            *("DEVICE", account, nick, device.fingerprint, "+" if now else "-"),
            *(str(device.first_ms), str(last_ms)),
        )
        body = Message(COMMAND, params, source=services.name).to_line()
        context.line(body, format_tags(certificate_tag(device.certificate)))
    context.send(COMMAND, "END", "LOOKUP", name)


def _nick_of(context: Context, name: str, account: str) -> str:
    """Return the nick that ``account`` has, if the client named or may see it; else ``*``."""
    network, asker = context.services.network, context.user
    named = network.find_user(name)
    users = (named,) if named is not None else network.users.values()
    for user in users:
        if user.account == account and (user is named or sees_user(asker, user)):
            return user.nick
    return "*"


def _list(context: Context, params: Sequence[str]) -> Iterator[None]:
    """Tell of everybody who has a device other than this one, the client's own account included."""
    network = context.services.network
    told: dict[UserId, None] = {}
    for session in list(network.announced):
        # It may have left since the last piece.
        if session in network.announced and session != context.session.id:
            user = network.sessions[session]
            if user.id not in told and sees_user(context.user, user):
                told[user.id] = None
                context.send(COMMAND, "REACHABLE", user.account or "*", user.nick)
        yield
    context.send(COMMAND, "END", "LIST", "*")


# ---- offers and pairs ----


def _offer(context: Context, params: Sequence[str]) -> None:
    account, fingerprint, identifier = params[:3]
    if fingerprint != "*" and not is_fingerprint(fingerprint):
        raise peer_failure(FailCode.INVALID_PARAMS, "OFFER", identifier)
    _slow_down(context, "OFFER", identifier)
    context.propose(events.Offer(context.stamp(), account, fingerprint, identifier))


def _answer(context: Context, params: Sequence[str]) -> None:
    context.propose(events.Answer(context.stamp(), params[0]))


def _candidates(context: Context, params: Sequence[str]) -> None:
    identifier = params[0]
    try:
        found = parse_candidates(params[1])
    except RemoteProtocolError as error:
        text = str(error)
        raise peer_failure(FailCode.INVALID_PARAMS, "CANDIDATES", identifier, text) from error
    candidates = " ".join(map(str, found))
    context.propose(events.SendCandidates(context.stamp(), identifier, candidates))


def _tunnel(context: Context, params: Sequence[str]) -> None:
    identifier, session = params[0], context.session.id
    tunnels, network = context.services.tunnels, context.services.network
    other, _ = find_tunnel(network, session, identifier)
    _slow_down(context, "TUNNEL", identifier)
    own_token, other_token = (secrets.token_urlsafe(_TOKEN_BYTES) for _ in range(2))
    own_account, other_account = (network.announced[key].account for key in (session, other))
    # Before both are told: the other side may hear it from its own relay first, and come here.
    reason = tunnels.grant(session, own_account, other, other_account, own_token, other_token)
    if reason:
        raise peer_failure(FailCode.NO_TUNNEL, "TUNNEL", identifier, reason)

    def refused(refusal: Refusal | Fail) -> None:
        tunnels.take_back(own_token)
        context.refuse(refusal)

    granted = events.GrantTunnel(context.stamp(), identifier, own_token, other_token)
    context.propose(granted, refused=refused)


def _withdraw(context: Context, params: Sequence[str]) -> None:
    reason = cut_text(params[1], REASON_BYTES) if len(params) > 1 else ""
    context.propose(events.Withdraw(context.stamp(), params[0], reason))


def _slow_down(context: Context, subcommand: str, about: str = "*") -> None:
    """Refuse a signal that comes too soon after others."""
    wait_s = context.session.signal_wait_s()
    if wait_s:
        text = f"Too many at once: wait {wait_s} s"
        raise peer_failure(FailCode.RATE_LIMITED, subcommand, about, text)


class _Subcommand(NamedTuple):
    """What is done with a signal, and what it needs: ``least`` parameters, an id among them.

    ``id_at`` is where the id stands, -1 if there is none.
    """

    least: int
    id_at: int
    handler: Callable[[Context, Sequence[str]], Iterator[None] | None]


_SUBCOMMANDS: Final[Mapping[str, _Subcommand]] = {
    "ANNOUNCE": _Subcommand(0, -1, _announce),
    "RETRACT": _Subcommand(0, -1, _retract),
    "LOOKUP": _Subcommand(1, -1, _look_up),
    "LIST": _Subcommand(0, -1, _list),
    "OFFER": _Subcommand(3, 2, _offer),
    "ANSWER": _Subcommand(1, 0, _answer),
    "CANDIDATES": _Subcommand(2, 0, _candidates),
    "TUNNEL": _Subcommand(1, 0, _tunnel),
    "WITHDRAW": _Subcommand(1, 0, _withdraw),
}
