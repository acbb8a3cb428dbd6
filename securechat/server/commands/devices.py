"""DEVICES: which connections of one's account there are, and a way to end one.

No specification: networks have such a command in services (``/msg NickServ CLIENTS``).
"""

from __future__ import annotations

import time

from securechat.irc.message import Message
from securechat.server.commands.settings import account_of
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.refusals import Fail
from securechat.server.session import Session

__all__: list[str] = []


@command("DEVICES")
def devices(context: Context, message: Message) -> None:
    """DEVICES [END <number>].

    See which devices are connected to your account, or disconnect one of them.
    """
    account_of(context)
    found = {str(session.id): session for session in _devices(context)}
    if not message.params:
        for session in found.values():
            context.tell(_description(context, session))
        return
    if message.params[0].upper() != "END" or len(message.params) < 2:
        text = "There are DEVICES and DEVICES END <number>"
        raise Fail("DEVICES", "INVALID_PARAMS", as_middle(message.params[0]), text=text)
    number = message.params[1].removeprefix("#")
    if number not in found:
        text = "No device of yours has that number"
        raise Fail("DEVICES", "NO_SUCH_DEVICE", as_middle(number), text=text)
    found[number].close_soon("Disconnected by another device", logged="Ended by its account")
    context.tell(f"Device {number} is disconnected")


def _devices(context: Context) -> list[Session]:
    network = context.services.network
    account = context.user.account
    keys = [key for key, user in network.sessions.items() if user.account == account]
    return context.services.registry.find(keys)


def _description(context: Context, session: Session) -> str:
    user = context.services.network.sessions[session.id]
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(session.since_ms // 1000))
    parts = [f"Device {session.id}: {user.nick}, since {since}, from {session.address}"]
    if session.fingerprint:
        parts.append(f"certificate {session.fingerprint}")
    if session.id in user.away_texts:
        parts.append("away")
    if session is context.session:
        parts.append("this one")
    return ", ".join(parts)
