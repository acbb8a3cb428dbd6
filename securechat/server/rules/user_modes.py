"""Flags of users: invisible, bot, operator, who hears WALLOPS, whom private messages may come from.

https://modern.ircdocs.horse/#user-modes, https://ircv3.net/specs/extensions/bot-mode
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.modes import ModeChange
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["ACCEPTED_MOST", "RULES", "accept", "check_may_write", "set_user_mode"]

ACCEPTED_MOST: Final = 256
"""Most people whom a user accepts; the oldest goes. More have hardly a talk going on."""


def set_user_modes(network: Network, event: events.SetUserModes) -> list[Effect]:
    """Change flags of a user; only OPER makes an operator."""
    user = network.sessions[event.stamp.session]
    done = []
    for change in event.changes:
        if change.adding == (change.letter in user.modes):
            continue
        if change.letter == "o" and change.adding:
            continue  # only OPER makes an operator
        set_user_mode(network, user, change)
        done.append(change)
    if not done:
        return []
    return [effects.UserModesChanged(event.stamp, user, user.author, tuple(done))]


def grant_operator(network: Network, event: events.GrantOperator) -> list[Effect]:
    """Make a user an operator."""
    user = network.sessions[event.stamp.session]
    if "o" in user.modes:
        return []
    changes = (ModeChange(True, "o"),)
    set_user_mode(network, user, *changes)
    return [effects.UserModesChanged(event.stamp, user, user.author, changes)]


def set_accepted(network: Network, event: events.Accept) -> list[Effect]:
    """Let somebody write to a user who has +R, or no longer."""
    user = network.sessions[event.stamp.session]
    other = network.find_user(event.nick)
    if other is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
    if event.adding:
        accept(user, other)
    else:
        user.accepted.pop(other.id, None)
    return []


def accept(user: User, other: User) -> None:
    """Let ``other`` write to ``user``."""
    user.accepted.pop(other.id, None)
    user.accepted[other.id] = None
    if len(user.accepted) > ACCEPTED_MOST:
        del user.accepted[next(iter(user.accepted))]


def check_may_write(user: User, recipient: User) -> None:
    """Refuse if ``recipient`` has +R and ``user`` is a stranger to them.

    A guest to whom somebody with +R writes is none to them any more: they may answer.
    """
    stranger = user.account is None and "o" not in user.modes and user is not recipient
    if stranger and "R" in recipient.modes and user.id not in recipient.accepted:
        raise Refusal(numerics.ERR_NEEDREGGEDNICK, recipient.nick)
    if "R" in user.modes and recipient.account is None:
        accept(user, recipient)


def set_user_mode(network: Network, user: User, change: ModeChange) -> None:
    """Change a flag of a user who has it otherwise."""
    user.modes = user.modes | {change.letter} if change.adding else user.modes - {change.letter}
    network.mode_counts[change.letter] += 1 if change.adding else -1
    user.refresh_author()


RULES: Final[Mapping[type[Event], Rule]] = {
    events.SetUserModes: set_user_modes,
    events.GrantOperator: grant_operator,
    events.Accept: set_accepted,
}
"""The rule of each event."""
