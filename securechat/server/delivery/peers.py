"""Signals of peers, to lines for the sessions that they are for.

These have the capability, which implies that they read tags: a certificate is sent to them whatever
other capabilities they have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.message import Message
from securechat.irc.peering import COMMAND, certificate_tag, fingerprint_of
from securechat.irc.tags import format_tags
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_session
from securechat.server.delivery.table import Deliverers
from securechat.server.delivery.users import tell_others
from securechat.server.events import SessionId
from securechat.server.state import Author

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]

_FromPeer = effects.Offered | effects.Answered | effects.CandidatesSent | effects.PairEnded


def _reachability_changed(
    delivery: Delivery, effect: effects.ReachabilityChanged, context: Context
) -> None:
    relay, author = context.services.name, effect.author
    word = "REACHABLE" if effect.now else "UNREACHABLE"
    params = word, author.account or "*", effect.user.nick
    body = Message(COMMAND, params, source=relay).to_line()
    line = Line(effect.stamp._replace(msgid=""), Author(relay, None), body)
    tell_others(delivery, effect, line, caps.PEER, context)


def _offered(delivery: Delivery, effect: effects.Offered, context: Context) -> None:
    _introduce(delivery, "OFFER", effect, effect.to, context)


def _answered(delivery: Delivery, effect: effects.Answered, context: Context) -> None:
    _introduce(delivery, "ANSWER", effect, (effect.to,), context)


def _introduce(
    delivery: Delivery,
    subcommand: str,
    effect: effects.Offered | effects.Answered,
    to: Iterable[SessionId],
    context: Context,
) -> None:
    """Send a signal that shows its author's device."""
    certificate, account = effect.certificate, effect.author.account or "*"
    params = subcommand, account, fingerprint_of(certificate), effect.id
    tags = format_tags(certificate_tag(certificate))
    _send(delivery, effect, params, to, context, tags)


def _candidates_sent(delivery: Delivery, effect: effects.CandidatesSent, context: Context) -> None:
    params = "CANDIDATES", effect.id, effect.candidates
    _send(delivery, effect, params, (effect.to,), context)


def _pair_ended(delivery: Delivery, effect: effects.PairEnded, context: Context) -> None:
    params = "WITHDRAW", effect.id, effect.reason
    _send(delivery, effect, params, effect.to, context)


def _send(
    delivery: Delivery,
    effect: _FromPeer,
    params: tuple[str, ...],
    to: Iterable[SessionId],
    context: Context,
    tags: str = "",
) -> None:
    """Send a signal to sessions, with ``tags`` for all of them."""
    source = effect.author.source
    line = Line(effect.stamp, effect.author, Message(COMMAND, params, source=source).to_line())
    for session in delivery.attached(to):
        [(others, body)] = line.parts(session.caps)
        to_session(session, [(";".join(filter(None, (tags, others))), body)], context)


def _tunnel_granted(delivery: Delivery, effect: effects.TunnelGranted, context: Context) -> None:
    place = (effect.relay,) if effect.relay else ()
    for key, token in effect.tokens:
        params = "TOKEN", effect.id, token, *place
        body = Message(COMMAND, params, source=context.services.name).to_line()
        for session in delivery.attached((key,)):
            to_session(session, [("", body)], context)


def _device_announced(
    delivery: Delivery, effect: effects.DeviceAnnounced, context: Context
) -> None:
    """It is told to whom it matters by the effects that come with it."""


def _device_retracted(
    delivery: Delivery, effect: effects.DeviceRetracted, context: Context
) -> None:
    """The rest is told by the effects that come with it; its tunnels may be at another relay."""
    context.services.tunnels.session_ended(effect.device)


DELIVERERS: Final[Deliverers] = {
    effects.DeviceAnnounced: _device_announced,
    effects.DeviceRetracted: _device_retracted,
    effects.ReachabilityChanged: _reachability_changed,
    effects.Offered: _offered,
    effects.Answered: _answered,
    effects.CandidatesSent: _candidates_sent,
    effects.TunnelGranted: _tunnel_granted,
    effects.PairEnded: _pair_ended,
}
"""What delivers each effect."""
