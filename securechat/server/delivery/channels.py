"""What happens in channels, to lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.message import BODY_BYTES, Message
from securechat.irc.modes import PREFIXES, ModeChange, format_modes
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_origin, to_session
from securechat.server.delivery.metadata import show_metadata_of, synced_lines
from securechat.server.delivery.read_markers import marker_params
from securechat.server.delivery.table import Deliverers
from securechat.server.effects import Effect
from securechat.server.events import Stamp
from securechat.server.rooms import names_replies, topic_replies
from securechat.server.rules.metadata import metadata_of
from securechat.server.rules.ranks import at_least
from securechat.server.state import Author, Channel, User

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery
    from securechat.server.session import Session

__all__ = ["DELIVERERS", "show_joined", "tell_joined"]


def _joined(delivery: Delivery, effect: effects.Joined, context: Context) -> None:
    channel, user = effect.channel, effect.user
    delivery.forget_members(channel)
    tell_joined(delivery, effect.stamp, channel, user, delivery.members(channel), context)
    _greet(delivery, channel, user, context)
    network = context.services.network
    if metadata_of(network, user):
        # Not by the keys: to each of them the whole network may have subscribed.
        watching = [session.id for session in delivery.members(channel)]
        show_metadata_of(delivery, user, watching, context)


def tell_joined(
    delivery: Delivery,
    stamp: Stamp,
    channel: Channel,
    user: User,
    sessions: Iterable[Session],
    context: Context,
) -> None:
    """Tell ``sessions``, of members, that ``user`` is in ``channel`` now, if they are away, and
    which ranks they came with.
    """
    author, told, quiet = user.author, list(sessions), stamp._replace(msgid="")  # it is the JOIN's
    others = [session for session in told if session.id not in user.sessions]
    for mask in (0, caps.EXTENDED_JOIN):
        line = Line(stamp, author, _join_body(channel, user, mask))
        fitting = [session for session in told if session.caps & caps.EXTENDED_JOIN == mask]
        delivery.to_all(fitting, line, context)
    if user.away:
        away = Line(quiet, author, f":{author.source} AWAY :{user.away}")
        delivery.to_all(others, away, context, caps.AWAY_NOTIFY)
    ranks = channel.members[user.id].ranks
    if ranks and others:
        name, letters = context.services.name, [letter for letter in PREFIXES if letter in ranks]
        nicks = " ".join([user.nick] * len(letters))
        body = f":{name} MODE {channel.name} +{''.join(letters)} {nicks}"
        delivery.to_all(others, Line(quiet, Author(name, None), body), context)


def _greet(delivery: Delivery, channel: Channel, user: User, context: Context) -> None:
    """Send read marker, topic, names and metadata to all sessions of a new member."""
    for session in delivery.sessions(user):
        _greet_session(channel, user, session, context)


def _greet_session(channel: Channel, user: User, session: Session, context: Context) -> None:
    lines = [
        *_greeting(channel, user, session.caps, context),
        *synced_lines(session, channel, context),
    ]
    to_session(session, lines, context)


def _parted(delivery: Delivery, effect: effects.Parted, context: Context) -> None:
    reason = f" :{effect.reason}" if effect.reason else ""
    body = f":{effect.author.source} PART {effect.channel.name}{reason}"
    _to_members_and(
        delivery, effect.user, effect.channel, Line(effect.stamp, effect.author, body), context
    )


def _kicked(delivery: Delivery, effect: effects.Kicked, context: Context) -> None:
    body = f":{effect.author.source} KICK {effect.channel.name} {effect.user.nick} :{effect.reason}"
    _to_members_and(
        delivery, effect.user, effect.channel, Line(effect.stamp, effect.author, body), context
    )


def _topic_changed(delivery: Delivery, effect: effects.TopicChanged, context: Context) -> None:
    body = f":{effect.author.source} TOPIC {effect.channel.name} :{effect.topic}"
    delivery.to_room(effect.channel, Line(effect.stamp, effect.author, body), context)


def _channel_modes_changed(
    delivery: Delivery, effect: effects.ChannelModesChanged, context: Context
) -> None:
    start = f":{effect.author.source} MODE {effect.channel.name}"
    stamp = effect.stamp
    user = context.services.network.sessions.get(effect.stamp.session)
    inside = user is not None and user.id in effect.channel.members
    for changes in _fitting(effect.changes, BODY_BYTES - len(start.encode()) - 1):
        body = f"{start} {' '.join(format_modes(changes))}"
        line = Line(stamp, effect.author, body)
        delivery.to_channel(effect.channel, line, skip=context.origin)
        if inside:  # an owner may act from outside, and the relay for who is not there yet
            to_origin(line, context)
        stamp = stamp._replace(msgid="")  # an id is of one line


def _invited(delivery: Delivery, effect: effects.Invited, context: Context) -> None:
    channel = effect.channel
    body = f":{effect.author.source} INVITE {effect.user.nick} {channel.name}"
    line = Line(effect.stamp, effect.author, body)
    delivery.to_sessions(delivery.sessions(effect.user), line)
    # "clients that have the privilege to do an /INVITE on the channel themselves"
    may_invite = (
        member.user
        for member in channel.members.values()
        if "i" not in channel.modes or at_least(member.ranks, "h")
    )
    sessions = delivery.sessions(*may_invite)
    others = [session for session in sessions if session is not context.origin]
    delivery.to_sessions(others, line, caps.INVITE_NOTIFY)


def _to_members_and(
    delivery: Delivery, user: User, channel: Channel, line: Line, context: Context
) -> None:
    """Send to the members and to ``user``, who is not one any more."""
    delivery.forget_members(channel)
    delivery.to_all(delivery.members(channel) + delivery.sessions(user), line, context)


def show_joined(channel: Channel, user: User, context: Context) -> None:
    """Tell the origin, a further session of ``user``, of a channel that they are in."""
    mask = context.session.caps
    stamp = context.stamp()._replace(msgid="")  # nothing has happened
    to_origin(Line(stamp, user.author, _join_body(channel, user, mask)), context)
    _greet_session(channel, user, context.session, context)


def _greeting(
    channel: Channel, user: User, mask: int, context: Context
) -> Iterator[tuple[str, str]]:
    """Yield tags and rest of each line after the JOIN of ``user``, for a session's capabilities."""
    services = context.services
    if mask & caps.READ_MARKER:
        # "MUST be sent before the RPL_ENDOFNAMES reply", and there need not be one
        marker = marker_params(services.network, user, channel.name)
        yield "", Message("MARKREAD", marker, source=services.name).to_line()
    replies = [*topic_replies(channel)]
    if not mask & caps.NO_IMPLICIT_NAMES:  # https://ircv3.net/specs/extensions/no-implicit-names
        replies += names_replies(channel, user, mask)
    tags = user.author.numeric_tags(mask)
    for numeric, *params in replies:
        yield tags, Message(numeric, (user.nick, *params), source=services.name).to_line()


def _join_body(channel: Channel, user: User, mask: int) -> str:
    """Return the JOIN of ``user`` for a session with the capabilities ``mask``."""
    plain = f":{user.author.source} JOIN {channel.name}"
    if not mask & caps.EXTENDED_JOIN:
        return plain
    return f"{plain} {user.account or '*'} :{user.realname}"


def _fitting(changes: Iterable[ModeChange], limit_bytes: int) -> Iterator[list[ModeChange]]:
    """Yield ``changes`` in groups that fit a line: masks grow when they are completed."""
    group: list[ModeChange] = []
    size = 0
    for change in changes:
        length = 2 + (len(change.param.encode()) + 1 if change.param is not None else 0)
        if group and size + length > limit_bytes:
            yield group
            group, size = [], 0
        group.append(change)
        size += length
    yield group


def _renamed(delivery: Delivery, effect: effects.ChannelRenamed, context: Context) -> None:
    channel, fold = effect.channel, context.services.network.fold
    start = f":{effect.author.source} RENAME {effect.old_name} {channel.name}"
    line = Line(effect.stamp, effect.author, f"{start} :{effect.reason}")
    members = delivery.members(channel)
    delivery.to_all(members, line, context, caps.CHANNEL_RENAME)
    # "This fallback SHOULD NOT be used if the rename only changes the case of the channel name"
    if fold(effect.old_name) != fold(channel.name):
        for member in channel.members.values():
            for session in delivery.sessions(member.user):
                if not session.caps & caps.CHANNEL_RENAME:
                    _simulate_rename(delivery, effect, member.user, session, context)


def _simulate_rename(
    delivery: Delivery,
    effect: effects.ChannelRenamed,
    user: User,
    session: Session,
    context: Context,
) -> None:
    """Let a session that knows no RENAME see its user leave, and enter the channel's new name."""
    quiet = effect.stamp._replace(msgid="")  # the id is the RENAME's
    reason = f" :{effect.reason}" if effect.reason else ""
    left = f":{user.author.source} PART {effect.old_name}{reason}"
    joined = _join_body(effect.channel, user, session.caps)
    for body in (left, joined):
        delivery.to_all([session], Line(quiet, user.author, body), context)
    _greet_session(effect.channel, user, session, context)


def _nothing_to_see(delivery: Delivery, effect: Effect, context: Context) -> None:
    pass


DELIVERERS: Final[Deliverers] = {
    effects.Joined: _joined,
    effects.Parted: _parted,
    effects.Kicked: _kicked,
    effects.TopicChanged: _topic_changed,
    effects.ChannelModesChanged: _channel_modes_changed,
    effects.Invited: _invited,
    effects.ChannelRenamed: _renamed,
    effects.MemberForgotten: _nothing_to_see,
    effects.OwnerChanged: _nothing_to_see,
    effects.RankRemembered: _nothing_to_see,
    effects.RetentionChanged: _nothing_to_see,
}
"""What delivers each effect."""
