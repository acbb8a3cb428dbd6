"""MONITOR: being told when nicks come and go.

https://ircv3.net/specs/extensions/monitor
"""

from __future__ import annotations

from collections.abc import Iterable

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server.context import Context, as_middle
from securechat.server.delivery.metadata import show_metadata_to
from securechat.server.dispatch import command
from securechat.server.events import Unwatch, Watch
from securechat.server.refusals import Fail, Refusal
from securechat.server.rooms import words_lines

__all__: list[str] = []


@command("MONITOR", least=1)
def monitor(context: Context, message: Message) -> None:
    """MONITOR + <nick>{,<nick>} | - <nick>{,<nick>} | C | L | S.

    Be told when these nicks come and go (+), or no more (-); clear the list (C), see it (L), see
    who of it is here (S).
    """
    modifier = message.params[0].upper()
    match modifier:
        case "+" | "-" if len(message.params) < 2:
            raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
        case "+":
            nicks = _nicks(context, message.params[1])
            context.propose(Watch(context.stamp(), nicks), lambda: _added(context, nicks))
        case "-":
            context.propose(Unwatch(context.stamp(), _nicks(context, message.params[1])))
        case "C":
            context.propose(Unwatch(context.stamp(), tuple(_monitored(context).values())))
        case "L":
            _reply(context, numerics.RPL_MONLIST, _monitored(context).values())
            context.reply(numerics.RPL_ENDOFMONLIST, "End of MONITOR list")
        case "S":
            _status(context, _monitored(context).values())
        case _:
            text = "Unknown modifier; there are +, -, C, L and S"
            raise Fail("MONITOR", "INVALID_PARAMS", as_middle(modifier), text=text)


def _nicks(context: Context, targets: str) -> tuple[str, ...]:
    """Return the targets that may be nicks: "'target' MUST be a valid nick"."""
    limit = context.services.config.limits.nick_length
    names = context.services.network.names
    return tuple(nick for nick in targets.split(",") if names.is_nick(nick, limit))


def _monitored(context: Context) -> dict[str, str]:
    return context.services.network.monitors.get(context.session.id, {})


def _added(context: Context, nicks: Iterable[str]) -> None:
    """Tell of those that are on the list now: there may not have been room for all."""
    network, monitored = context.services.network, _monitored(context)
    added = [nick for nick in nicks if network.fold(nick) in monitored]
    _status(context, added)
    found = [network.find_user(nick) for nick in added]
    show_metadata_to(context.session, [user for user in found if user is not None], context)


def _status(context: Context, nicks: Iterable[str]) -> None:
    found = {nick: context.services.network.find_user(nick) for nick in nicks}
    online = [user.author.source for user in found.values() if user is not None]
    _reply(context, numerics.RPL_MONONLINE, online)
    _reply(context, numerics.RPL_MONOFFLINE, [nick for nick in found if found[nick] is None])


def _reply(context: Context, numeric: str, words: Iterable[str]) -> None:
    for line in words_lines(words, 0, ","):
        context.reply(numeric, line)
