"""ROOM: rooms that belong to somebody.

No specification has it. What is asked for is answered by NOTICE lines, which any client shows;
errors are standard replies. https://ircv3.net/specs/extensions/standard-replies
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.modes import PREFIXES, ModeChange
from securechat.server.context import Context, as_middle
from securechat.server.delivery.lines import server_time
from securechat.server.dispatch import command
from securechat.server.events import (
    ClaimRoom,
    DropRoom,
    RankAccount,
    SetRetention,
    TransferRoom,
)
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.belonging import standing
from securechat.server.state import Channel
from securechat.server.visibility import sees_channel

__all__: list[str] = []

_RANKS: Final[Mapping[str, str]] = {
    "q": "founder",
    "a": "admin",
    "o": "operator",
    "h": "half-op",
    "v": "voice",
}


_RETENTIONS: Final[Mapping[str, int | None]] = {"off": 0, "default": None}
"""What may be given instead of days."""

_DAYS_DIGITS: Final = 6
"""Most digits of a number of days: some 2,700 years."""


@command("ROOM", least=1)
def room(context: Context, message: Message) -> None:
    """ROOM LIST | ROOM <subcommand> <channel> [<parameters>].

    Rooms that belong to an account: whoever makes a room while logged in owns it. It stays when all
    have left, and remembers ranks.
    ROOM LIST: yours, and those where you have a rank.
    ROOM INFO <channel>: whose it is. ROOM RANKS <channel>: who has which rank, there or not.
    ROOM RANK <channel> <account> <+|-><letter>: give or take a rank (q a o h v).
    ROOM HISTORY <channel> [<days> | off | default]: for how long what is said is kept.
    ROOM CLAIM <channel>: make a guests' room yours, as its operator.
    ROOM TRANSFER <channel> <account>: pass yours on, to a member.
    ROOM DROP <channel> <channel>: give yours up; named twice, so that it is no slip.
    """
    name, params = message.params[0].upper(), message.params[1:]
    if name not in _SUBCOMMANDS:
        text = f"There are {', '.join(_SUBCOMMANDS)}; see HELP ROOM"
        raise Fail("ROOM", "UNKNOWN_SUBCOMMAND", as_middle(name), text=text)
    least, handler = _SUBCOMMANDS[name]
    if len(params) < least:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    handler(context, params)


def _list(context: Context, params: tuple[str, ...]) -> None:
    network = context.services.network
    account = network.account_key(context.user)
    if account is None:
        raise Fail("ROOM", "ACCOUNT_REQUIRED", "LIST", text="Log in first")
    found = False
    for channel in network.channels.values():
        ranks = channel.remembered.get(account, set())
        if ranks:
            yours = "yours" if channel.owner == account else _rank_words(ranks)
            context.tell(f"{channel.name}: {yours}, {len(channel.members)} there now")
            found = True
    if not found:
        context.tell("No room is yours, and none remembers a rank of yours")


def _info(context: Context, params: tuple[str, ...]) -> None:
    channel = _visible(context, params[0])
    made = server_time(channel.created_ms)[:10]
    context.tell(f"{channel.name}: made on {made}, {len(channel.members)} there now")
    if channel.owner is None:
        context.tell(
            f"{channel.name}: belongs to nobody, and ends when all have left; an operator of it "
            f"who is logged in may claim it: ROOM CLAIM {channel.name}",
        )
        return
    context.tell(f"{channel.name}: belongs to {_shown(context, channel.owner)}, and stays")
    if channel.topic:
        context.tell(f"{channel.name}: topic by {channel.topic_by}")


def _ranks(context: Context, params: tuple[str, ...]) -> None:
    channel = _owned(context, params[0])
    user = context.user
    if user.id not in channel.members and not standing(context.services.network, channel, user):
        raise Refusal(numerics.ERR_NOTONCHANNEL, channel.name)
    for account, ranks in sorted(channel.remembered.items()):
        owner = ", whose room it is" if account == channel.owner else ""
        here = " (there now)" if context.services.network.is_present(channel, account) else ""
        words = f"{_shown(context, account)}: {_rank_words(ranks)}{owner}{here}"
        context.tell(f"{channel.name}: {words}")


def _rank(context: Context, params: tuple[str, ...]) -> None:
    channel = _owned(context, params[0])
    account, change = params[1], params[2]
    if len(change) != 2 or change[0] not in "+-" or change[1] not in PREFIXES:
        text = f"A rank is + or - and one of {' '.join(PREFIXES)}"
        raise Fail("ROOM", "INVALID_RANK", as_middle(change), text=text)
    adding, letter = change[0] == "+", change[1]
    if adding:
        _check_account(context, account)

    def confirm() -> None:
        network = context.services.network
        ranks = channel.remembered.get(network.fold(account), set())
        shown = _shown(context, network.fold(account))
        context.tell(f"{channel.name}: {shown}: {_rank_words(ranks) or 'no rank'}")

    context.check_store(channel.name)
    change_of_rank = ModeChange(adding, letter)
    context.propose(RankAccount(context.stamp(), channel.name, account, change_of_rank), confirm)


def _history(context: Context, params: tuple[str, ...]) -> None:
    channel = _visible(context, params[0]) if len(params) < 2 else _owned(context, params[0])

    def tell() -> None:
        context.tell(f"{channel.name}: {_retention_words(context, channel.history_days)}")

    if len(params) < 2:
        tell()
        return
    days = _parse_retention(params[1], context.services.config.history.days)
    context.check_store(channel.name)
    context.propose(SetRetention(context.stamp(), channel.name, days), tell)


def _parse_retention(text: str, most: int) -> int | None:
    """Return the days, 0 for ``off``, ``None`` for ``default``; at most ``most`` if that is not 0.

    :raises Fail: it is none of these.
    """
    word = text.lower()
    if word in _RETENTIONS:
        return _RETENTIONS[word]
    number = int(word) if word.isascii() and word.isdigit() and len(word) <= _DAYS_DIGITS else 0
    most = most or 10**_DAYS_DIGITS - 1
    if not 1 <= number <= most:
        text = f"It is a number of days from 1 to {most}, or off, or default"
        raise Fail("ROOM", "INVALID_DAYS", as_middle(word), text=text)
    return number


def _claim(context: Context, params: tuple[str, ...]) -> None:
    channel = _visible(context, params[0])
    if context.user.account is None:
        text = "Log in first, or make an account: REGISTER"
        raise Fail("ROOM", "ACCOUNT_REQUIRED", "CLAIM", text=text)
    if channel.owner is not None:
        text = f"It belongs to {_shown(context, channel.owner)}"
        raise Fail("ROOM", "ALREADY_OWNED", channel.name, text=text)
    context.check_store(channel.name)
    context.propose(
        ClaimRoom(context.stamp(), channel.name),
        lambda: context.tell(f"{channel.name}: yours now; it stays when all have left"),
    )


def _transfer(context: Context, params: tuple[str, ...]) -> None:
    channel = _owned(context, params[0])
    account = params[1]
    _check_account(context, account)
    context.check_store(channel.name)
    context.propose(
        TransferRoom(context.stamp(), channel.name, account),
        lambda: context.tell(f"{channel.name}: belongs to {_shown(context, channel.owner)} now"),
    )


def _drop(context: Context, params: tuple[str, ...]) -> None:
    network = context.services.network
    channel = _owned(context, params[0])
    again = params[1] if len(params) > 1 else ""
    if network.fold(again) != network.fold(channel.name):
        text = (
            "Ranks would be forgotten, and the room once all have left; if you mean it: "
            f"ROOM DROP {channel.name} {channel.name}"
        )
        raise Fail("ROOM", "CONFIRMATION_REQUIRED", channel.name, text=text)
    context.check_store(channel.name)
    context.propose(
        DropRoom(context.stamp(), channel.name),
        lambda: context.tell(f"{channel.name}: belongs to nobody now"),
    )


_SUBCOMMANDS: Final[Mapping[str, tuple[int, Callable[[Context, tuple[str, ...]], None]]]] = {
    "LIST": (0, _list),
    "OWN": (0, _list),
    "INFO": (1, _info),
    "RANKS": (1, _ranks),
    "RANK": (3, _rank),
    "HISTORY": (1, _history),
    "CLAIM": (1, _claim),
    "TRANSFER": (2, _transfer),
    "DROP": (1, _drop),
}
"""How many parameters each needs, and what it does."""


# ---- what they share ----


def _visible(context: Context, name: str) -> Channel:
    """Return the channel, of which the asker may know.

    :raises Refusal: there is none, or it is secret.
    """
    channel = context.services.network.find_channel(name)
    if channel is not None:
        ranks = standing(context.services.network, channel, context.user)
        if ranks or sees_channel(context.user, channel):
            return channel
    raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)


def _owned(context: Context, name: str) -> Channel:
    channel = _visible(context, name)
    if channel.owner is None:
        text = "It belongs to nobody, and remembers nothing"
        raise Fail("ROOM", "NOT_OWNED", channel.name, text=text)
    return channel


def _check_account(context: Context, account: str) -> None:
    network = context.services.network
    if network.fold(account) not in network.accounts:
        raise Fail("ROOM", "NO_SUCH_ACCOUNT", as_middle(account), text="There is no such account")


def _shown(context: Context, account: str | None) -> str:
    """Return a folded account as its holder writes it."""
    return context.services.network.accounts.get(account or "", account or "nobody")


def _rank_words(ranks: set[str]) -> str:
    return ", ".join(word for letter, word in _RANKS.items() if letter in ranks)


def _retention_words(context: Context, own_days: int | None) -> str:
    history = context.services.config.history
    if not history.enabled:
        return "what is said is not kept, anywhere on this relay"
    if own_days == 0:
        return "what is said is not kept"
    # The operator may have set less since.
    days = min(filter(None, (own_days, history.days)), default=0)
    ending = ", as in any room" if own_days is None else ""
    if not days:
        return f"what is said is kept for ever{ending}"
    return f"what is said is kept for {days} day{'s' if days > 1 else ''}{ending}"
