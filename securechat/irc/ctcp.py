"""CTCP: commands inside the text of a message, of which ``ACTION`` (``/me``) is the one that lives.

https://modern.ircdocs.horse/ctcp
"""

from __future__ import annotations

__all__ = ["format_ctcp", "parse_ctcp"]

_DELIMITER = "\x01"


def parse_ctcp(text: str) -> tuple[str, str] | None:
    """Return the command (upper case) and its arguments, or ``None`` if ``text`` is plain."""
    if len(text) < 2 or text[0] != _DELIMITER:
        return None
    command, _, arguments = text[1:].rstrip(_DELIMITER).partition(" ")
    return (command.upper(), arguments) if command else None


def format_ctcp(command: str, arguments: str = "") -> str:
    """Return the text of a CTCP message."""
    body = f"{command} {arguments}" if arguments else command
    return f"{_DELIMITER}{body}{_DELIMITER}"
