"""DEVICES: which connections of one's account there are, and a way to end one.

No specification: networks have such a command in services (``/msg NickServ CLIENTS``).
"""

from __future__ import annotations

import time

from securechat.irc.message import Message
from securechat.server.commands.settings import account_of
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import EndDevice, SessionId
from securechat.server.refusals import Fail
from securechat.server.rules.users import no_such_device
from securechat.server.state import User, session_label

__all__: list[str] = []


@command("DEVICES")
def devices(context: Context, message: Message) -> None:
    """DEVICES [END <number>].

    See which devices are connected to your account, or disconnect one of them.
    """
    account_of(context)
    everybody, account = context.services.network.users.values(), context.user.account
    users = [user for user in everybody if user.account == account]
    found = {session_label(session): (user, session) for user in users for session in user.sessions}
    if not message.params:
        for user, session in found.values():
            context.tell(_description(context, user, session))
        return
    if message.params[0].upper() != "END" or len(message.params) < 2:
        text = "There are DEVICES and DEVICES END <number>"
        raise Fail("DEVICES", "INVALID_PARAMS", as_middle(message.params[0]), text=text)
    number = message.params[1].removeprefix("#")
    if number not in found:
        raise no_such_device(as_middle(number))
    _, session = found[number]

    def then() -> None:
        context.tell(f"Device {number} is disconnected")

    context.propose(EndDevice(context.stamp(), session), then)


def _description(context: Context, user: User, session: SessionId) -> str:
    device = context.services.network.devices[session]
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(device.since_ms // 1000))
    number, address = session_label(session), device.address
    parts = [f"Device {number}: {user.nick}, since {since}, from {address}"]
    if device.fingerprint:
        parts.append(f"certificate {device.fingerprint}")
    if session in user.away_texts:
        parts.append("away")
    if session == context.session.id:
        parts.append("this one")
    return ", ".join(parts)
