"""What is wrong with answers, as far as it can be said without the server.

Each check returns what is wrong by the field of ``Answers``, in the language in use, and safe;
nothing if all is well.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection

from securechat.client.assistant.answers import Answers
from securechat.client.assistant.result import rooms_in
from securechat.client.protocol import check_command
from securechat.client.settings.address import ROOM_BYTES
from securechat.client.settings.profiles import is_network_name
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import SecureChatError
from securechat.irc.names import is_channel_name
from securechat.irc.sasl import prepare_password

__all__ = [
    "Problems",
    "check_command_line",
    "check_login",
    "check_new_account",
    "check_nick",
    "check_rooms",
    "check_sayable",
]

Problems = dict[str, str]
"""What is wrong, by the field of ``Answers``."""


def check_nick(given: Answers) -> Problems:
    """Check the nick and the real name."""
    nick = given.nick.strip()
    found = check_sayable("nick", "NICK", nick)
    found |= check_sayable("realname", "USER", "user", "0", "*", given.realname.strip())
    if not nick or " " in nick:
        found["nick"] = _("a nick is one word")
    return found


def check_login(given: Answers) -> Problems:
    """Check account and password of somebody who has an account."""
    login = given.login.strip()
    found = _check_password(given.password) | check_sayable("login", "ACCOUNT", login)
    if not login or " " in login:
        found["login"] = _("an account is one word")
    return found


def check_new_account(given: Answers, nick: str, *, wants_code: bool) -> Problems:
    """Check what an account for ``nick`` would be made with, but for the code itself."""
    found: Problems = {}
    if given.password != given.again:
        found["again"] = _("the two passwords differ")
    if given.password.casefold() == nick.casefold():
        found["password"] = _("the nick is no password: it is the first that is tried")
    if wants_code and not given.email.strip():
        found["email"] = _("this server wants an invitation code or an e-mail address")
    found |= _check_password(given.password)
    return found or check_sayable("password", "REGISTER", "*", "*", given.password)


def check_command_line(given: Answers) -> Problems:
    """Check the command that prints the password. Looks for its program."""
    try:
        words = shlex.split(given.command)
    except ValueError:
        return {"command": _("a quotation mark has no end")}
    if not words:
        return {"command": _("give the command that prints the password")}
    if shutil.which(words[0]) is None:
        name = make_safe(words[0])
        return {"command": _("there is no program {name} on this computer", name=name)}
    return {}


def check_rooms(given: Answers, taken: Collection[str]) -> Problems:
    """Check the rooms, and the name of the network.

    :param taken: the names of others, in lower case.
    """
    found: Problems = {}
    name = given.network.strip()
    if not is_network_name(name):
        found["network"] = _("a name has up to 40 letters, digits, -, _ and .")
    elif name.lower() in taken:
        found["network"] = _("there is a network of this name already")
    for room in rooms_in(given.rooms):
        if not is_channel_name(room, ROOM_BYTES):
            found.setdefault("rooms", _("this cannot be a room: {room}", room=make_safe(room)))
    return found


def check_sayable(field_name: str, command: str, *params: str) -> Problems:
    """Check that an answer can be said to a server in this command."""
    try:
        check_command(command, *params)
    except SecureChatError as error:
        return {field_name: make_safe(explain(error))}
    return {}


def _check_password(password: str) -> Problems:
    try:
        prepare_password(password)
    except SecureChatError as error:
        return {"password": explain(error)}
    return {}
