"""Modes of channels: flags, lists, ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.extbans import is_mute
from securechat.irc.modes import CHANNEL_MODES, ModeChange
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.belonging import check_not_owner, remember_rank
from securechat.server.rules.ranks import check_may_change, check_outranks
from securechat.server.rules.rule import Rule
from securechat.server.state import Channel, ListEntry, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "add_list_entry"]


def set_channel_modes(network: Network, event: events.SetChannelModes) -> list[Effect]:
    """Change modes of a channel; what is not possible is refused, the rest is done.

    Who may do none of it is refused once, however many changes they wanted.
    """
    user = network.sessions[event.stamp.session]
    channel = network.find_channel(event.channel)
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, event.channel)
    refusals: dict[tuple[str, ...], Refusal] = {}
    done = []
    for change in event.changes:
        try:
            applied = _set_channel_mode(network, channel, change, user, event.stamp.at_ms)
        except Refusal as refusal:
            refusals.setdefault((refusal.numeric, refusal.text, *refusal.params), refusal)
            continue
        if applied is not None:
            done.append(applied)
    found: list[Effect] = [effects.Refused(event.stamp, each) for each in refusals.values()]
    if done:
        changed = effects.ChannelModesChanged(event.stamp, channel, user.author, tuple(done))
        found.insert(0, changed)
    return found


def _set_channel_mode(
    network: Network, channel: Channel, change: ModeChange, user: User, at_ms: int
) -> ModeChange | None:
    """Apply one change; return it as members should see it, ``None`` if it changed nothing."""
    letter, param = change.letter, change.param or ""
    stepping_down = not change.adding and network.find_user(param) is user
    if not (stepping_down and CHANNEL_MODES.kind(letter) == "prefix"):
        check_may_change(channel, user, letter)
    match CHANNEL_MODES.kind(letter):
        case "prefix":
            return _set_rank(network, channel, change, user)
        case "list":
            entries, key = channel.lists[letter], network.fold(param)
            if not change.adding:
                gone = entries.pop(key, None)
                channel.forget_verdicts()
                return ModeChange(False, letter, gone.mask) if gone else None
            if key in entries:
                return None
            if not add_list_entry(network, channel, change, user.author.source, at_ms):
                raise Refusal(numerics.ERR_BANLISTFULL, channel.name, letter)
            if letter == "b" and channel.invited and not is_mute(param):
                _withdraw_invitations(network, channel)
            return change
        case _ if change.adding:
            if channel.modes.get(letter) == param:
                return None
            channel.modes[letter] = param
            return change
        case kind:
            if channel.modes.pop(letter, None) is None:
                return None
            # A key is taken away with any parameter; which one it was is nobody's business.
            return ModeChange(False, letter, "*" if kind == "always" else None)


def add_list_entry(
    network: Network, channel: Channel, change: ModeChange, by: str, at_ms: int
) -> bool:
    """Put a mask into a list of a channel; return whether it was not in there and has room."""
    letter, mask = change.letter, change.param or ""
    entries, key = channel.lists[letter], network.fold(mask)
    full = sum(map(len, channel.lists.values())) >= network.limits.list_entries
    if key in entries or full:
        return False
    entries[key] = ListEntry(mask, by, at_ms)
    channel.forget_verdicts()
    return True


def _withdraw_invitations(network: Network, channel: Channel) -> None:
    """Take back the invitations of those who are banned now: the later word counts."""
    for user_id in list(channel.invited):
        if channel.banned(network.users[user_id]):
            del channel.invited[user_id]


def _set_rank(
    network: Network, channel: Channel, change: ModeChange, user: User
) -> ModeChange | None:
    nick = change.param or ""
    target = network.find_user(nick)
    if target is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, nick)
    if target.id not in channel.members:
        raise Refusal(numerics.ERR_USERNOTINCHANNEL, nick, channel.name)
    if not change.adding:
        check_outranks(channel, user, target)
        check_not_owner(network, channel, user, target)
    ranks = channel.members[target.id].ranks
    if change.adding == (change.letter in ranks):
        return None
    (ranks.add if change.adding else ranks.discard)(change.letter)
    remember_rank(network, channel, target, change)
    return ModeChange(change.adding, change.letter, target.nick)


RULES: Final[Mapping[type[Event], Rule]] = {events.SetChannelModes: set_channel_modes}
"""The rule of each event."""
