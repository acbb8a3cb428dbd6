"""MODE, of channels and of oneself.

https://modern.ircdocs.horse/#mode-message
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from securechat.irc import numerics
from securechat.irc.extbans import normalise_list_mask
from securechat.irc.message import Message
from securechat.irc.modes import CHANNEL_MODES, ModeChange, parse_modes
from securechat.irc.names import is_channel
from securechat.server.commands.user_modes import user_mode
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import SetChannelModes
from securechat.server.refusals import Refusal
from securechat.server.state import Channel

__all__: list[str] = []

_KEY_BYTES: Final = 32
"""Longest key of a channel, in bytes: it must fit in one JOIN with many channels."""

_MASK_BYTES: Final = 128
"""Longest mask in a list, in bytes: the longest source fits, and a reply still fits one line."""

_LIMIT_MOST: Final = 1_000_000

_LISTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "b": (numerics.RPL_BANLIST, numerics.RPL_ENDOFBANLIST, "ban"),
    "e": (numerics.RPL_EXCEPTLIST, numerics.RPL_ENDOFEXCEPTLIST, "exception"),
    "I": (numerics.RPL_INVEXLIST, numerics.RPL_ENDOFINVEXLIST, "invite exception"),
}
"""List mode → the numerics of an entry and of the end, and what the list is called."""


@command("MODE", least=1)
def mode(context: Context, message: Message) -> None:
    """MODE <channel> [<modes> [<parameters>]] | MODE <your nick> [<modes>].

    See or change modes; HELP MODES, HELP UMODES, HELP RANKS and HELP MASKS tell what there is.
    """
    target = message.params[0]
    if is_channel(target):
        _channel_mode(context, target, message.params[1:])
    else:
        user_mode(context, target, message.params[1:])


def _channel_mode(context: Context, name: str, params: tuple[str, ...]) -> None:
    services = context.services
    channel = services.network.find_channel(name)
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)
    if "s" in channel.modes and context.user.id not in channel.members:
        raise Refusal(numerics.ERR_NOTONCHANNEL, channel.name)
    if not params:
        _tell_modes(context, channel)
        return
    wanted: list[ModeChange] = []
    with_parameter = 0
    listed: set[str] = set()
    unknown: set[str] = set()
    for change in parse_modes(params[0], params[1:], CHANNEL_MODES):
        kind = CHANNEL_MODES.kind(change.letter)
        if kind == "list" and change.param is None:
            if change.letter not in listed:
                _tell_list(context, channel, change.letter)
            listed.add(change.letter)
            continue
        if kind is None:
            if change.letter not in unknown:
                context.refuse(Refusal(numerics.ERR_UNKNOWNMODE, change.letter))
            unknown.add(change.letter)
            continue
        with_parameter += change.param is not None
        if with_parameter > services.config.limits.modes:
            break  # "A client SHOULD NOT issue more"; the rest is dropped, as everywhere
        try:
            wanted.append(_checked(channel, change))
        except Refusal as refusal:
            context.refuse(refusal)
    if wanted:
        context.propose(SetChannelModes(context.stamp(), name, tuple(wanted)))


def _checked(channel: Channel, change: ModeChange) -> ModeChange:
    """Return ``change`` in its final form.

    :raises Refusal: its parameter is missing or malformed.
    """
    letter, param = change.letter, change.param
    kind = CHANNEL_MODES.kind(letter)
    if kind == "flag" or (kind == "set" and not change.adding):
        return change
    if kind == "always" and not change.adding:
        return ModeChange(False, letter, param or "*")
    if not param or param.startswith(":") or " " in param:
        raise Refusal(
            numerics.ERR_INVALIDMODEPARAM,
            channel.name,
            letter,
            param or "*",
            text="This mode needs a parameter without spaces",
        )
    if letter == "k" and ("," in param or len(param.encode()) > _KEY_BYTES):
        raise Refusal(numerics.ERR_INVALIDKEY, channel.name)
    if letter == "l":
        if not (param.isascii() and param.isdigit() and 0 < int(param[:9]) <= _LIMIT_MOST):
            raise Refusal(
                numerics.ERR_INVALIDMODEPARAM,
                channel.name,
                letter,
                param,
                text=f"The limit must be a number from 1 to {_LIMIT_MOST}",
            )
        return ModeChange(True, letter, str(int(param[:9])))
    if kind == "list":
        mask = normalise_list_mask(param)
        if len(mask.encode()) > _MASK_BYTES:
            raise Refusal(
                numerics.ERR_INVALIDMODEPARAM, channel.name, letter, "*", text="Mask too long"
            )
        return ModeChange(change.adding, letter, mask)
    return change


def _tell_modes(context: Context, channel: Channel) -> None:
    inside = context.user.id in channel.members
    letters = "".join(sorted(channel.modes))
    # The key is for those inside; others learn that there is one.
    params = [
        channel.modes[letter] if letter != "k" or inside else "*"
        for letter in letters
        if channel.modes[letter]
    ]
    context.reply(numerics.RPL_CHANNELMODEIS, channel.name, f"+{letters}", *params)
    context.reply(numerics.RPL_CREATIONTIME, channel.name, str(channel.created_ms // 1000))


def _tell_list(context: Context, channel: Channel, letter: str) -> None:
    numeric, end, name = _LISTS[letter]
    for entry in channel.lists[letter].values():
        context.reply(numeric, channel.name, entry.mask, entry.by, str(entry.at_ms // 1000))
    context.reply(end, channel.name, f"End of channel {name} list")
