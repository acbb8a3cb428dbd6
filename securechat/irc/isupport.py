"""The tokens of RPL_ISUPPORT (005): what a server supports, and with which limits.

https://modern.ircdocs.horse/#feature-advertisement
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from securechat.irc.casemapping import Casemapping, fold
from securechat.irc.modes import ModeKinds

__all__ = ["TOKENS_PER_LINE", "Isupport", "format_tokens", "token_lines"]

TOKENS_PER_LINE: Final = 13
"""Most tokens in one 005: "the maximum number of RPL_ISUPPORT tokens that can be advertised is 13"
beside the client's name and the text."""

_TOKENS_BYTES: Final = 360
"""Most bytes of the tokens in one 005, with their spaces: leaves 150 of the line for the name of
the server (63), the numeric, the client's name and the text."""

_TOKENS_KEPT: Final = 512
"""Most tokens kept of a server, far above what any sends: a hostile one must not fill memory."""

_NUMBER_DIGITS: Final = 18
"""Most digits of a number in a token; what is longer is no limit of anything."""

_PRECIS: Final = frozenset({"precis", "rfc7613", "rfc7700", "rfc8265"})
"""What servers call the mapping of PRECIS, in CASEMAPPING or UTF8MAPPING."""

_ESCAPED: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")
_ESCAPABLE: Final = re.compile(r"[\\= \x00-\x1f\x7f]")


def format_tokens(tokens: Mapping[str, str | None]) -> list[str]:
    """Return the tokens as they are sent; a value of ``None`` has no ``=``."""
    return [
        key if value is None else f"{key}={_ESCAPABLE.sub(_escape, value)}"
        for key, value in tokens.items()
    ]


def token_lines(tokens: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield the tokens in groups that fit one 005 each, in number and in bytes."""
    group: list[str] = []
    size = 0
    for token in tokens:
        token_bytes = len(token.encode()) + 1
        if group and (len(group) == TOKENS_PER_LINE or size + token_bytes > _TOKENS_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append(token)
        size += token_bytes
    if group:
        yield tuple(group)


class Isupport:
    """What a server has said in its 005 lines; the client's side. Owned by its connection's thread.

    Until a token has come, the defaults of Modern IRC hold.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def update(self, tokens: Iterable[str]) -> None:
        """Take the tokens of one 005 line (without the client's name and the text).

        What is not a token is ignored.
        """
        for token in tokens:
            key, _, value = token.partition("=")
            if key.startswith("-"):
                self._tokens.pop(key[1:], None)
            elif key and (key in self._tokens or len(self._tokens) < _TOKENS_KEPT):
                self._tokens[key] = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)

    def __contains__(self, key: str) -> bool:
        return key in self._tokens

    def get(self, key: str, default: str = "") -> str:
        """Return the value of ``key``, empty when it has none, ``default`` when it was not sent."""
        return self._tokens.get(key, default)

    def number(self, key: str, default: int) -> int:
        """Return the value of ``key`` as a number, ``default`` when it is missing or not one."""
        value = self._tokens.get(key, "")
        if len(value) > _NUMBER_DIGITS or not (value.isascii() and value.isdigit()):
            return default
        return int(value)

    @property
    def casemapping(self) -> Casemapping:
        """How names are compared; an unknown mapping is taken for ``rfc1459``, the default."""
        if self._tokens.get("UTF8MAPPING", "") in _PRECIS:
            return "precis"
        match self._tokens.get("CASEMAPPING"):
            case "ascii":
                return "ascii"
            case str(name) if name in _PRECIS:
                return "precis"
            case "rfc1459-strict":
                return "rfc1459-strict"
            case _:
                return "rfc1459"

    def fold(self, name: str) -> str:
        """Return the form of ``name`` that equal names share on this server."""
        return fold(name, self.casemapping)

    def is_channel(self, target: str) -> bool:
        """Whether ``target`` names a channel on this server."""
        return target != "" and target[0] in self._tokens.get("CHANTYPES", "#&")

    @property
    def prefixes(self) -> dict[str, str]:
        """Mode letter → mark, highest rank first."""
        letters, _, marks = self._tokens.get("PREFIX", "(ov)@+").lstrip("(").partition(")")
        return dict(zip(letters, marks, strict=False))

    @property
    def channel_modes(self) -> ModeKinds:
        """Which channel modes there are."""
        kinds = [*self._tokens.get("CHANMODES", "b,k,l,imnpst").split(","), "", "", "", ""]
        return ModeKinds(kinds[0], kinds[1], kinds[2], kinds[3], "".join(self.prefixes))


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02X}"
