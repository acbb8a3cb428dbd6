"""KLINE, UNKLINE, DLINE, UNDLINE: whom operators keep out of the relay.

No specification, but most servers have them. Where one of https://modern.ircdocs.horse/ fits, its
numeric is used: RPL_STATSKLINE, ERR_YOUREBANNEDCREEP.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.text import cut_text
from securechat.server.addresses import parse_ip_range
from securechat.server.ban_words import BadBan, normalise_ban_mask, parse_duration, until
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import AddBan, BanKind, RemoveBan
from securechat.server.refusals import Fail
from securechat.server.visibility import shown_address

__all__ = ["list_bans"]


@command("KLINE", operator=True)
def kline(context: Context, message: Message) -> Iterator[None] | None:
    """KLINE [[<duration>] <mask> [<reason>]].

    Ban people from the relay, and put off those who are there; for operators, whom it spares.
    <mask> is nick!user@host, user@host or a nick, with * and ?. It is compared with the host that
    others see, and with the address.
    <duration> is like 1y2mo3w4d5h6m7s; a number alone is minutes. 0 or none: for good.
    KLINE: see the bans.
    """
    return _add(context, message, "K")


@command("UNKLINE", least=1, operator=True)
def unkline(context: Context, message: Message) -> None:
    """UNKLINE <mask>.

    End a ban; for operators. KLINE shows the masks.
    """
    _remove(context, message, "K")


@command("DLINE", operator=True)
def dline(context: Context, message: Message) -> Iterator[None] | None:
    """DLINE [[<duration>] <address or network> [<reason>]].

    Ban an IP address, or a network like 192.0.2.0/24 or 2001:db8::/32, from the relay, and put off
    who is there from it; for operators. Nobody can connect from there any more.
    <duration> is as for KLINE. DLINE: see the bans.
    """
    return _add(context, message, "D")


@command("UNDLINE", least=1, operator=True)
def undline(context: Context, message: Message) -> None:
    """UNDLINE <address or network>.

    End a ban of an address or a network; for operators.
    """
    _remove(context, message, "D")


def list_bans(context: Context, kind: BanKind) -> Iterator[None]:
    """Answer with the bans of that kind that are in force, a step for each; end it otherwise."""
    numeric = numerics.RPL_STATSKLINE if kind == "K" else numerics.RPL_STATSDLINE
    services = context.services
    for ban in services.network.bans.in_force(kind, services.now_ms()):
        text = f"{until(ban)}: {ban.reason}"
        context.reply(numeric, kind, shown_address(ban.mask), "*", ban.by, text)
        yield


def _add(context: Context, message: Message, kind: BanKind) -> Iterator[None] | None:
    if not message.params:
        return _list(context, kind)
    services, (first, *rest) = context.services, message.params
    try:
        duration_s = parse_duration(first) if rest else None
        given, *words = message.params if duration_s is None else rest
        mask = normalise_ban_mask(kind, given)
    except BadBan as error:
        raise _bad(message, first, error) from None
    if kind == "D":
        _check_no_gateway(context, mask)
    reason = cut_text(" ".join(words), services.config.limits.kick_length) or "No reason was given"
    stamp = context.stamp()
    expires_ms = stamp.at_ms + duration_s * 1000 if duration_s else None
    add = AddBan(stamp, kind, mask, reason, context.nick, expires_ms)
    context.propose(add, partial(_tell_of_trouble, context))
    return None


def _list(context: Context, kind: BanKind) -> Iterator[None]:
    yield from list_bans(context, kind)
    context.reply(numerics.RPL_ENDOFSTATS, kind, f"End of /{kind}LINE list")


def _remove(context: Context, message: Message, kind: BanKind) -> None:
    given = message.params[0]
    try:
        mask = normalise_ban_mask(kind, given)
    except BadBan as error:
        raise _bad(message, given, error) from None
    remove = RemoveBan(context.stamp(), kind, mask, context.nick)
    context.propose(remove, partial(_tell_of_trouble, context))


def _tell_of_trouble(context: Context) -> None:
    """Say if it cannot be kept now. It counts all the same: a full disk must not disarm anybody."""
    if context.services.store.trouble:
        context.tell("This counts from now on, but cannot be kept yet: a restart would undo it")


def _check_no_gateway(context: Context, mask: str) -> None:
    """Refuse to ban a web gateway: bans are for those for whom it connects."""
    banned = parse_ip_range(mask)
    for gateway in context.services.config.webirc:
        for network in map(parse_ip_range, gateway.addresses):
            if network.version == banned.version and network.overlaps(banned):
                text = f"The gateway {gateway.name} connects from there; ban its people's addresses"
                raise Fail("DLINE", "BANS_GATEWAY", shown_address(mask), text=text)


def _bad(message: Message, given: str, error: BadBan) -> Fail:
    return Fail(message.command, "INVALID_MASK", as_middle(given), text=str(error))
