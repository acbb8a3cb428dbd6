"""CTCP: commands inside the text of a message, of which ``ACTION`` (``/me``) is the one that lives.

https://modern.ircdocs.horse/ctcp
"""

from __future__ import annotations

from securechat.irc.multiline import split_pieces

__all__ = ["format_ctcp", "has_request", "parse_ctcp"]

_DELIMITER = "\x01"


def parse_ctcp(text: str) -> tuple[str, str] | None:
    """Return the command (upper case) and its arguments, or ``None`` if ``text`` is plain."""
    if len(text) < 2 or text[0] != _DELIMITER:
        return None
    command, _, arguments = text[1:].rstrip(_DELIMITER).partition(" ")
    return (command.upper(), arguments) if command else None


def has_request(text: str) -> bool:
    """Whether ``text``, maybe of several lines, has CTCP in it other than ``ACTION``.

    Clients that know no multiline messages see each line by itself.
    """
    return _DELIMITER in text and any(
        piece.startswith(_DELIMITER) and (parse_ctcp(piece) or ("",))[0] != "ACTION"
        for piece, _ in split_pieces(text)
    )


def format_ctcp(command: str, arguments: str = "") -> str:
    """Return the text of a CTCP message."""
    body = f"{command} {arguments}" if arguments else command
    return f"{_DELIMITER}{body}{_DELIMITER}"
