"""What operators of the relay may do.

https://modern.ircdocs.horse/#operator-messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.rules.users import forget_session, leave_network
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "operator_of"]


def kill(network: Network, event: events.Kill) -> list[Effect]:
    """Put a user off the network, with all their sessions."""
    operator = operator_of(network, event)
    user = network.find_user(event.nick)
    if user is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
    author, stamp = operator.author, event.stamp
    found: list[Effect] = [effects.Killed(stamp, user, author, event.reason)]
    for session in user.sessions:  # which the user keeps: they are still to be told
        found += forget_session(network, stamp, user, session)
    reason = f"Killed ({operator.nick} ({event.reason}))"
    return found + leave_network(network, stamp, user, reason)


def wallops(network: Network, event: events.Wallops) -> list[Effect]:
    """Say something to all who have +w."""
    operator = operator_of(network, event)
    audience = tuple(user for user in network.users.values() if "w" in user.modes)
    return [effects.WallopsSent(event.stamp, operator.author, event.text, audience)]


def operator_of(network: Network, event: Event) -> User:
    """Return the user who has proposed ``event``; refuse unless they are an operator."""
    user = network.sessions[event.stamp.session]
    if "o" not in user.modes:
        raise Refusal(numerics.ERR_NOPRIVILEGES)
    return user


RULES: Final[Mapping[type[Event], Rule]] = {
    events.Kill: kill,
    events.Wallops: wallops,
}
"""The rule of each event."""
