"""JOIN, PART, TOPIC, NAMES, KICK, RENAME, INVITE.

https://modern.ircdocs.horse/#channel-operations
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.names import is_channel
from securechat.irc.text import cut_text
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import Invite, Join, Kick, Part, RenameChannel, SetTopic
from securechat.server.history.replay import replay_room
from securechat.server.refusals import Fail, Refusal
from securechat.server.rooms import end_of_names, names_replies, topic_replies
from securechat.server.state import Channel

__all__: list[str] = []


@command("JOIN", least=1, later=True)
def join(context: Context, message: Message) -> Iterator[None]:
    """JOIN <channel>{,<channel>} [<key>{,<key>}] | 0.

    Enter channels, making those that do not exist; "JOIN 0" leaves all.
    """
    services = context.services
    if message.params[0] == "0":
        for channel in list(context.user.channels.values()):
            if context.user.id in channel.members:  # still
                context.propose(Part(context.stamp(), channel.name, ""))
            yield
        return
    limit = services.config.limits.channel_length
    names = message.params[0].split(",")
    keys = message.params[1].split(",") if len(message.params) > 1 else []
    for name, key in dict(zip_longest(names, keys[: len(names)], fillvalue="")).items():
        if context.services.network.names.is_channel_name(name, limit):
            _join(context, name, key)
        else:
            context.refuse(Refusal(_not_a_name(name, limit), name))
        yield


def _join(context: Context, name: str, key: str) -> None:
    channel = context.services.network.find_channel(name)
    coming = channel is not None and context.user.id not in channel.members
    stamp = context.stamp()
    missed = partial(replay_room, context, name, stamp.at_ms) if coming else None
    context.propose(Join(stamp, name, key), missed)


@command("PART", least=1)
def part(context: Context, message: Message) -> Iterator[None]:
    """PART <channel>{,<channel>} [<reason>].

    Leave channels.
    """
    services = context.services
    reason = message.params[1] if len(message.params) > 1 else ""
    reason = cut_text(reason, services.config.limits.kick_length)
    for name in dict.fromkeys(message.params[0].split(",")):
        context.propose(Part(context.stamp(), name, reason))
        yield


@command("TOPIC", least=1)
def topic(context: Context, message: Message) -> None:
    """TOPIC <channel> [<topic>].

    See the topic of a channel, or set it; an empty one takes it away.
    """
    services = context.services
    if len(message.params) > 1:
        text = cut_text(message.params[1], services.config.limits.topic_length)
        context.propose(SetTopic(context.stamp(), message.params[0], text))
        return
    channel = _visible(context, message.params[0])
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, message.params[0])
    replies = list(topic_replies(channel))
    for numeric, *params in replies:
        context.reply(numeric, *params)
    if not replies:
        context.reply(numerics.RPL_NOTOPIC, channel.name, "No topic is set")


@command("NAMES")
def names(context: Context, message: Message) -> Iterator[None]:
    """NAMES <channel>{,<channel>}.

    See who is in channels.
    """
    if not message.params:
        context.reply(*end_of_names("*"))
        return
    limit = context.services.config.limits.targets
    for name in list(dict.fromkeys(message.params[0].split(",")))[:limit]:
        channel = _visible(context, name)
        if channel is None:
            context.reply(*end_of_names(as_middle(name)))
            continue
        for numeric, *params in names_replies(channel, context.user, context.session.caps):
            context.reply(numeric, *params)
            yield


@command("KICK", least=2)
def kick(context: Context, message: Message) -> None:
    """KICK <channel>{,<channel>} <nick>{,<nick>} [<reason>].

    Put people out of a channel; or, with as many channels as nicks, each out of one.
    """
    services = context.services
    limits = services.config.limits
    names, nicks = message.params[0].split(","), message.params[1].split(",")
    reason = message.params[2] if len(message.params) > 2 else ""
    reason = cut_text(reason, limits.kick_length) or context.nick
    if len(names) == 1:
        names *= len(nicks)
    if len(names) != len(nicks):
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    for name, nick in list(zip(names, nicks, strict=True))[: limits.targets]:
        context.propose(Kick(context.stamp(), name, nick, reason))


@command("RENAME", least=2)
def rename(context: Context, message: Message) -> None:
    """RENAME <channel> <new name> [<reason>].

    Give a channel another name, as its operator; one that belongs to somebody, as its founder.
    """
    # https://ircv3.net/specs/extensions/channel-rename
    services = context.services
    old, new = message.params[:2]
    reason = message.params[2] if len(message.params) > 2 else ""
    channel, other = services.network.find_channel(old), services.network.find_channel(new)
    if other is not None and other is not channel:
        text = "The channel name is already taken"
        raise Fail("RENAME", "CHANNEL_NAME_IN_USE", as_middle(old), as_middle(new), text=text)
    if not services.network.names.is_channel_name(new, services.config.limits.channel_length):
        text = "The channel cannot be renamed: that is no name for a channel"
        raise Fail("RENAME", "CANNOT_RENAME", as_middle(old), as_middle(new), text=text)
    # Rooms are written again one by one: two that had swapped their names could not be.
    context.check_store(as_middle(old), as_middle(new))
    reason = cut_text(reason, services.config.limits.kick_length)
    context.propose(RenameChannel(context.stamp(), old, new, reason))


@command("INVITE")
def invite(context: Context, message: Message) -> None:
    """INVITE [<nick> <channel>].

    Ask somebody into a channel; without parameters, see where you are invited.
    """
    services = context.services
    if not message.params:
        for channel in services.network.channels.values():
            if context.user.id in channel.invited:
                context.reply(numerics.RPL_INVITELIST, channel.name)
        context.reply(numerics.RPL_ENDOFINVITELIST, "End of /INVITE list")
        return
    if len(message.params) < 2:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    nick, name = message.params[:2]

    def confirm() -> None:
        target = services.network.find_user(nick)
        channel = services.network.find_channel(name)
        assert target is not None
        assert channel is not None
        context.reply(numerics.RPL_INVITING, target.nick, channel.name)
        if target.away:
            context.reply(numerics.RPL_AWAY, target.nick, target.away)

    context.propose(Invite(context.stamp(), name, nick), confirm)


def _not_a_name(name: str, limit_bytes: int) -> str:
    """Return the error numeric for what cannot be a channel's name."""
    if is_channel(name) and len(name.encode()) <= limit_bytes:
        return numerics.ERR_BADCHANMASK
    return numerics.ERR_NOSUCHCHANNEL


def _visible(context: Context, name: str) -> Channel | None:
    """Return the channel unless it is secret and the asker is not in it."""
    channel = context.services.network.find_channel(name)
    if channel is None or ("s" in channel.modes and context.user.id not in channel.members):
        return None
    return channel
