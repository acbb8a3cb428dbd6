"""LIST: the channels of the relay.

https://modern.ircdocs.horse/#list-message
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from securechat.irc import numerics
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.names import is_channel
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.refusals import Refusal
from securechat.server.state import Channel
from securechat.server.visibility import sees_channel

__all__: list[str] = []

_CONDITION: Final = re.compile(r"([CT]?)([<>])([0-9]{1,9})", re.IGNORECASE)

_CONDITIONS_MOST: Final = 16
"""Masks and conditions of one LIST; each channel is compared with all of them."""

_MINUTE_MS: Final = 60_000

_Test = Callable[[Channel], bool]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a LIST asks for: any of the names and masks, and all of the tests. Immutable."""

    names: tuple[str, ...]
    masks: tuple[str, ...]
    tests: tuple[_Test, ...]

    @classmethod
    def parse(cls, params: tuple[str, ...], now_ms: int) -> _Wanted:
        names: list[str] = []
        masks: list[str] = []
        tests: list[_Test] = []
        words = [word for param in params for word in param.split(",") if word]
        for word in dict.fromkeys(words):
            condition = _CONDITION.fullmatch(word)
            if condition is not None:
                tests.append(_test(condition, now_ms))
            elif word.startswith("!"):
                tests.append(_other_than(word[1:]))
            elif is_channel(word) and "*" not in word and "?" not in word:
                names.append(word)
            else:
                masks.append(word)
        if masks:  # among these a name is one that covers itself
            names, masks = [], [*names, *masks]
        return cls(tuple(names), tuple(masks), tuple(tests))

    def fits(self, channel: Channel) -> bool:
        """Whether ``channel``, which may have been named, is wanted."""
        named = not self.masks or any(matches(mask, channel.name) for mask in self.masks)
        return named and all(test(channel) for test in self.tests)


@command("LIST")
def list_channels(context: Context, message: Message) -> Iterator[None]:
    """LIST [<channel or mask>{,<channel or mask>}] [<condition>{,<condition>}].

    See the channels, with how many people are there, and their topics. Conditions: >n or <n more or
    fewer people than n, C>n or C<n made more or less than n minutes ago, T>n or T<n the same for
    the topic, !mask not of that name.
    """
    wanted = _Wanted.parse(message.params, context.services.now_ms())
    if len(wanted.masks) + len(wanted.tests) > _CONDITIONS_MOST:
        raise Refusal(numerics.ERR_TOOMANYTARGETS, message.params[0])
    context.reply(numerics.RPL_LISTSTART, "Channel", "Users  Name")
    for channel in _candidates(context, wanted):
        if sees_channel(context.user, channel) and wanted.fits(channel):
            people = str(len(channel.members))
            context.reply(numerics.RPL_LIST, channel.name, people, channel.topic)
        yield
    context.reply(numerics.RPL_LISTEND, "End of /LIST")


def _candidates(context: Context, wanted: _Wanted) -> Iterator[Channel]:
    """Yield the channels that were named, all where none was; those that are still there."""
    network = context.services.network
    if wanted.names:
        named = (network.find_channel(name) for name in wanted.names)
        yield from dict.fromkeys(channel for channel in named if channel is not None)
        return
    for channel in list(network.channels.values()):
        if network.find_channel(channel.name) is channel:
            yield channel


def _test(condition: re.Match[str], now_ms: int) -> _Test:
    what, sign, digits = condition.groups()
    number = int(digits)

    def compare(value: int, limit: int) -> bool:
        return value < limit if sign == "<" else value > limit

    match what.upper():
        case "C":  # "less than val minutes ago, or more"
            return lambda channel: compare(now_ms - channel.created_ms, number * _MINUTE_MS)
        case "T":
            return lambda channel: (
                bool(channel.topic) and compare(now_ms - channel.topic_ms, number * _MINUTE_MS)
            )
        case _:
            return lambda channel: compare(len(channel.members), number)


def _other_than(mask: str) -> _Test:
    return lambda channel: not matches(mask, channel.name)
