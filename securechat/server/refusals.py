"""What is raised when a command cannot be done; the dispatcher answers with it."""

from __future__ import annotations

from securechat.irc.numerics import ERR_NICKNAMEINUSE, ERR_YOUREBANNEDCREEP, ERROR_TEXTS
from securechat.server.ban_words import farewell

__all__ = ["Banned", "Fail", "NickReserved", "Refusal"]


class Refusal(Exception):
    """A command is refused with an error numeric.

    :param numeric: of ``securechat.irc.numerics``.
    :param params: between the client's nick and the text.
    :param text: when the usual text of the numeric does not tell enough.
    """

    def __init__(self, numeric: str, *params: str, text: str = "") -> None:
        self.numeric = numeric
        self.params = params
        self.text = text or ERROR_TEXTS[numeric]
        super().__init__(f"{numeric} {self.text}")


class NickReserved(Refusal):
    """A nick is refused because it is an account's."""

    def __init__(self, nick: str) -> None:
        text = "Nickname is registered: log in to its account, or choose another"
        super().__init__(ERR_NICKNAMEINUSE, nick, text=text)


class Banned(Refusal):
    """Somebody may not be on the network because of a ban."""

    def __init__(self, reason: str) -> None:
        super().__init__(ERR_YOUREBANNEDCREEP, text=farewell(reason))


class Fail(Exception):
    """A command is refused with a standard reply: ``FAIL <command> <code> [<context>…] <text>``.

    https://ircv3.net/specs/extensions/standard-replies
    """

    def __init__(self, command: str, code: str, *context: str, text: str) -> None:
        self.params = (command, code, *context, text)
        super().__init__(f"{command} {code} {text}")
