"""WHO and WHOX: lists of people.

https://modern.ircdocs.horse/#who-message, https://ircv3.net/specs/extensions/whox
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from securechat.irc import numerics
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.names import is_channel
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.rooms import shown_prefixes
from securechat.server.servers import home_server
from securechat.server.state import Channel, Membership, User
from securechat.server.visibility import (
    sees_channel,
    sees_details,
    sees_user,
    shown_address,
    shown_channels,
)

__all__: list[str] = []

_FIELDS: Final = "tcuihsnfdlaor"
"""The standard fields of WHOX: "Servers MUST send the fields in the order specified"."""

_TOKEN_DIGITS: Final = 3
""" "The token MUST contain only digit characters and MUST contain at most 3 characters." """

_HIDDEN_ADDRESS: Final = "255.255.255.255"

_ALL: Final = ("*", "0", "")
"""The masks that everybody fits; RFC 2812 has the "0"."""


@dataclass(frozen=True, slots=True)
class _Question:
    """The second parameter of WHO: ``<flags>[%<fields>[,<token>]]``. Immutable."""

    operators_only: bool
    compared: str  # letters of what the mask is compared with; empty: all but the address
    fields: str | None  # None: no WHOX
    token: str

    @classmethod
    def parse(cls, text: str) -> _Question:
        flags, whox, wanted = text.partition("%")
        fields, _, token = wanted.partition(",")
        valid = token.isascii() and token.isdigit() and len(token) <= _TOKEN_DIGITS
        return cls(
            operators_only="o" in flags,
            compared="".join(letter for letter in "nuhisra" if letter in flags),
            fields="".join(letter for letter in _FIELDS if letter in fields) if whox else None,
            token=token if valid else "0",
        )


@command("WHO")
def who(context: Context, message: Message) -> Iterator[None]:
    """WHO [<channel | nick | mask> [<flags>][%<fields>[,<token>]]].

    See people: those of a channel, one, or those whom a mask fits in nick, user name, host, real
    name or account. Flags: "o" operators only; "n", "u", "h", "s", "r", "a" compare only nick, user
    name, host, server, real name, account. Fields (WHOX): t token, c channel, u user name,
    i address, h host, s server, n nick, f flags, d distance, l idle seconds, a account,
    o rank, r real name.
    """
    mask = message.params[0] if message.params else "*"
    question = _Question.parse(message.params[1] if len(message.params) > 1 else "")
    for found in _found(context, mask, question):
        if found is not None:
            channel, member = found
            if not question.operators_only or "o" in member.user.modes:
                _reply(context, channel, member, question)
        yield
    context.reply(numerics.RPL_ENDOFWHO, as_middle(mask), "End of WHO list")


def _found(
    context: Context, mask: str, question: _Question
) -> Iterator[tuple[Channel | None, Membership] | None]:
    """Yield whom ``mask`` names and the asker may see, with the channel to show them in.

    ``None`` stands for somebody who was looked at in vain.
    """
    network, asker = context.services.network, context.user
    if is_channel(mask):
        channel = network.find_channel(mask)
        if channel is None or not sees_channel(asker, channel):
            return
        for member in list(channel.members.values()):
            here = member.user.id in channel.members  # still
            yield (channel, member) if here and sees_user(asker, member.user) else None
        return
    named = network.find_user(mask) if question.compared in ("", "n") else None
    if named is not None:
        yield _shown_in(asker, named)
        return
    for user in list(network.users.values()):
        here = user.id in network.users and sees_user(asker, user)
        fits = here and _fits(context, mask, user, question.compared)
        yield _shown_in(asker, user) if fits else None


def _fits(context: Context, mask: str, user: User, compared: str) -> bool:
    if mask in _ALL:
        return True
    if not compared:
        # Who names a user name or host by "!" or "@" means the whole source.
        if "!" in mask or "@" in mask:
            return matches(mask, user.author.source)
        compared = "nuhsra"
    return any(matches(mask, _compared(context, user, letter)) for letter in compared)


def _compared(context: Context, user: User, letter: str) -> str:
    match letter:
        case "n":
            return user.nick
        case "u":
            return user.username
        case "h":
            return user.host
        case "i":
            # Who is always on has none since a restart.
            known = user.address and sees_details(context.user, user)
            return shown_address(user.address) if known else _HIDDEN_ADDRESS
        case "s":
            return home_server(context.services, user).name
        case "r":
            return user.realname
        case _:
            return user.account or ""


def _shown_in(asker: User, user: User) -> tuple[Channel | None, Membership]:
    channel = next(shown_channels(asker, user), None)
    return channel, Membership(user) if channel is None else channel.members[user.id]


def _reply(
    context: Context, channel: Channel | None, member: Membership, question: _Question
) -> None:
    user, fields = member.user, question.fields
    place = channel.name if channel is not None else "*"
    if fields is None:
        context.reply(
            numerics.RPL_WHOREPLY,
            place,
            user.username,
            user.host,
            home_server(context.services, user).name,
            user.nick,
            _flags(context, member),
            f"0 {user.realname}",
        )
        return
    found = [_field(context, letter, place, member, question) for letter in fields]
    context.reply(numerics.RPL_WHOSPCRPL, *found)


def _field(
    context: Context, letter: str, place: str, member: Membership, question: _Question
) -> str:
    user = member.user
    match letter:
        case "t":
            return question.token
        case "c":
            return place
        case "f":
            return _flags(context, member)
        case "d":
            return "0"
        case "l":
            return str(max(0, context.services.now_ms() - user.active_ms) // 1000)
        case "a":
            return user.account or "0"
        case "o":
            return "n/a"
        case _:  # "uihsnr"
            return _compared(context, user, letter)


def _flags(context: Context, member: Membership) -> str:
    """Return away, operator, rank, bot: "in this order"."""
    user = member.user
    here = "G" if user.away else "H"
    operator = "*" if "o" in user.modes else ""
    bot = "B" if "B" in user.modes else ""
    return f"{here}{operator}{shown_prefixes(member, context.session.caps)}{bot}"
