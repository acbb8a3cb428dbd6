"""Channels: who is in them, and their topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.extbans import ACCOUNT
from securechat.irc.modes import ModeChange
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.belonging import (
    check_may_own_another,
    check_not_owner,
    enter,
    leave,
    make_owner,
    may_always_enter,
)
from securechat.server.rules.messages import silenced_by
from securechat.server.rules.modes import add_list_entry
from securechat.server.rules.ranks import at_least, check_outranks, check_rank
from securechat.server.rules.read_markers import move_markers
from securechat.server.rules.rule import Rule
from securechat.server.state import Author, Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES"]

_NEW_CHANNEL_MODES: Final = ("n", "t")
"""What a new channel has: no messages from outside, topic by operators."""

_LARGE_ROOM: Final = 50
_RENAME_WAIT_MS: Final = 60_000
"""How often a channel of more members may be renamed. Each whose client knows no RENAME is sent all
names: their number squared."""

_LOG_IN: Final = "Cannot join channel (+R): log in to an account first"


def join(network: Network, event: events.Join) -> list[Effect]:
    """Put a user into a channel, making it if there is none."""
    user = network.sessions[event.stamp.session]
    channel = network.find_channel(event.channel)
    if channel is not None and user.id in channel.members:
        return []
    if len(user.channels) >= network.limits.channels_per_user:
        raise Refusal(numerics.ERR_TOOMANYCHANNELS, event.channel)
    account = network.account_key(user)
    if channel is None:
        if account is not None:
            check_may_own_another(network, account, event.channel)
        channel = Channel(
            event.stamp.msgid,
            event.channel,
            event.stamp.at_ms,
            modes=dict.fromkeys(_NEW_CHANNEL_MODES, ""),
        )
        network.channels[network.fold(channel.name)] = channel
        if account is not None:
            make_owner(network, channel, account)
        # On any network, who makes a channel is shown as its operator. The mark of a founder comes
        # with the room that is theirs, the next time they join; the rights are there at once.
        enter(network, channel, user, event.stamp.at_ms).ranks = {"o"}
        return [effects.Joined(event.stamp, channel, user, user.author)]
    if not may_always_enter(network, channel, user):
        _check_may_join(channel, user, event.key)
    since_ms = channel.invited.pop(user.id, event.stamp.at_ms)
    enter(network, channel, user, since_ms)
    return [effects.Joined(event.stamp, channel, user, user.author)]


def part(network: Network, event: events.Part) -> list[Effect]:
    """Take a user out of a channel, without a word if they may not speak there."""
    user, channel = network.member(event.stamp.session, event.channel)
    reason = "" if silenced_by(channel, user) else event.reason
    leave(network, channel, user)
    return [effects.Parted(event.stamp, channel, user, user.author, reason)]


def kick(network: Network, event: events.Kick) -> list[Effect]:
    """Put somebody out of a channel."""
    user, channel = network.member(event.stamp.session, event.channel)
    check_rank(channel, user, "h")
    target = network.find_user(event.nick)
    if target is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
    if target.id not in channel.members:
        raise Refusal(numerics.ERR_USERNOTINCHANNEL, event.nick, channel.name)
    check_outranks(channel, user, target)
    check_not_owner(network, channel, user, target)
    leave(network, channel, target)
    return [effects.Kicked(event.stamp, channel, target, user.author, event.reason)]


def invite(network: Network, event: events.Invite) -> list[Effect]:
    """Let somebody into a channel."""
    target = network.find_user(event.nick)
    if target is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
    user, channel = network.member(event.stamp.session, event.channel)
    if "i" in channel.modes:
        check_rank(channel, user, "h")
    if target.id in channel.members:
        raise Refusal(numerics.ERR_USERONCHANNEL, target.nick, channel.name)
    if at_least(channel.ranks(user), "h"):  # else anybody inside could undo a ban or a key
        channel.invited.setdefault(target.id, event.stamp.at_ms)
    return [effects.Invited(event.stamp, channel, target, user.author)]


def let_in(network: Network, event: events.LetIn) -> list[Effect]:
    """Let an account into a channel; does nothing if there is none, or they are in it.

    Who is there may come in at once, whatever the locks. Who comes later is let in by the list of
    those who need no invitation: registering and chatting are often two connections.
    """
    channel = network.find_channel(event.channel)
    user = network.sessions.get(event.stamp.session)
    if channel is None or (user is not None and user.id in channel.members):
        return []
    by = Author(event.by, None)
    found: list[Effect] = []
    if "i" in channel.modes:
        change = ModeChange(True, "I", f"{ACCOUNT}:{event.account}")
        if add_list_entry(network, channel, change, by.source, event.stamp.at_ms):
            found.append(effects.ChannelModesChanged(event.stamp, channel, by, (change,)))
    if user is not None:
        channel.invited.setdefault(user.id, event.stamp.at_ms)
        found.append(effects.Invited(event.stamp, channel, user, by))
    return found


def set_topic(network: Network, event: events.SetTopic) -> list[Effect]:
    """Give a channel a topic."""
    user, channel = network.member(event.stamp.session, event.channel)
    if "t" in channel.modes or silenced_by(channel, user):
        check_rank(channel, user, "h")
    channel.topic = event.topic
    channel.topic_by = user.author.source if event.topic else ""
    channel.topic_ms = event.stamp.at_ms if event.topic else 0
    return [effects.TopicChanged(event.stamp, channel, user.author, event.topic)]


def rename(network: Network, event: events.RenameChannel) -> list[Effect]:
    """Give a channel another name; nothing else of it changes.

    https://ircv3.net/specs/extensions/channel-rename
    """
    user, channel = network.member(event.stamp.session, event.channel)
    check_rank(channel, user, "o" if channel.owner is None else "q")
    old_name = channel.name
    old_key, key = network.fold(old_name), network.fold(event.name)
    if network.channels.get(key) not in (None, channel):
        raise Refusal(numerics.ERR_UNKNOWNERROR, "RENAME", text="The channel name is already taken")
    if event.name == old_name:
        return []
    again_s = (channel.renamed_ms + _RENAME_WAIT_MS - event.stamp.at_ms + 999) // 1000
    if len(channel.members) > _LARGE_ROOM and again_s > 0:
        text = f"The channel is large, and was renamed just now: wait {again_s} s"
        raise Fail("RENAME", "CANNOT_RENAME", old_name, event.name, text=text)
    channel.renamed_ms = event.stamp.at_ms
    del network.channels[old_key]
    channel.name = event.name
    network.channels[key] = channel
    for member in channel.members.values():
        del member.user.channels[old_key]
        member.user.channels[key] = channel
    if key != old_key:
        move_markers(network, old_key, key)
    return [effects.ChannelRenamed(event.stamp, channel, user.author, old_name, event.reason)]


def _check_may_join(channel: Channel, user: User, key: str) -> None:
    if user.id in channel.invited:
        return  # by one who could open any of these locks
    modes = channel.modes
    if channel.banned(user):
        raise Refusal(numerics.ERR_BANNEDFROMCHAN, channel.name)
    if "R" in modes and user.account is None:
        raise Refusal(numerics.ERR_NEEDREGGEDNICK, channel.name, text=_LOG_IN)
    if "i" in modes and not channel.listed("I", user):
        raise Refusal(numerics.ERR_INVITEONLYCHAN, channel.name)
    if "k" in modes and modes["k"] != key:
        raise Refusal(numerics.ERR_BADCHANNELKEY, channel.name)
    if "l" in modes and len(channel.members) >= int(modes["l"]):
        raise Refusal(numerics.ERR_CHANNELISFULL, channel.name)


RULES: Final[Mapping[type[Event], Rule]] = {
    events.Join: join,
    events.Part: part,
    events.Kick: kick,
    events.Invite: invite,
    events.LetIn: let_in,
    events.SetTopic: set_topic,
    events.RenameChannel: rename,
}
"""The rule of each event."""
