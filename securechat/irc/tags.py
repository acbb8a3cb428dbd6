"""Message tags: the escapes and the limits.

https://ircv3.net/specs/extensions/message-tags
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from securechat.errors import LocalProtocolError

__all__ = ["CLIENT_TAG_DATA_BYTES", "client_only", "format_tags", "parse_tags"]

CLIENT_TAG_DATA_BYTES: Final = 4094
"""Most tag data in one client message, in bytes, without the leading ``@`` and trailing space.

"Clients MUST NOT send messages with tag data exceeding 4094 bytes". The relay may add as much.
"""

_ESCAPES: Final = {";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"}
_UNESCAPES: Final = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n", "": ""}
_ESCAPED: Final = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPABLE: Final = re.compile(r"[; \\\r\n]")


def parse_tags(data: str) -> dict[str, str]:
    r"""Return the tags of ``data``, the text between ``@`` and the space.

    A tag without a value has the value ``""``: "Implementations MUST interpret empty tag values as
    equivalent to missing tag values". Of a repeated key the last counts. Nothing is an error.
    """
    tags: dict[str, str] = {}
    for item in data.split(";"):
        key, _, value = item.partition("=")
        if key:
            tags[key] = _ESCAPED.sub(_unescape, value) if "\\" in value else value
    return tags


def format_tags(tags: Mapping[str, str]) -> str:
    """Return ``tags`` in their wire form, without ``@`` and space; ``parse_tags`` undoes it.

    :raises LocalProtocolError: a key is empty or has a space, a semicolon or an equals sign in it.
    """
    keys = "".join(tags)
    if " " in keys or ";" in keys or "=" in keys or "" in tags:
        raise LocalProtocolError("not allowed as names of tags: {tags!r}", tags=list(tags))
    return ";".join(
        f"{key}={_ESCAPABLE.sub(_escape, value)}" if value else key for key, value in tags.items()
    )


def client_only(tags: Mapping[str, str], denied: str = "") -> dict[str, str]:
    """Return the client-only tags (``+…``): the ones that a relay passes on as they are.

    :param denied: those that it does not, as the value of CLIENTTAGDENY: ``typing,react``, or
        ``*,-reply`` for all but one.
    """
    found = {key: value for key, value in tags.items() if key.startswith("+") and len(key) > 1}
    if not denied:
        return found
    items = denied.split(",")
    if items[0] == "*":
        return {key: value for key, value in found.items() if f"-{key[1:]}" in items}
    return {key: value for key, value in found.items() if key[1:] not in items}


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES[match[0]]


def _unescape(match: re.Match[str]) -> str:
    # An invalid escape drops its backslash; so does a lone one at the end.
    return _UNESCAPES.get(match[1], match[1])
