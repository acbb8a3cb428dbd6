"""Finding links in what somebody has said.

Conservative: what is taken for a link is all that is opened, nothing of it is hidden, and its host
reads as what it is. So there are only three schemes, hosts are ASCII (no letters that look like
others), and what has a name or password in front of the host is no link.
"""

from __future__ import annotations

import re
import string
from typing import Final
from urllib.parse import quote

__all__ = ["SCHEMES", "address", "find_links"]

SCHEMES: Final = ("https", "http", "ircs")
"""What is a link. Others open programs that nobody expects (``file``, ``tel``, ``ms-…``)."""

# Atomic groups: a host is taken whole or not at all.
_LINK: Final = re.compile(
    r"(?<!\w)(?i:https?|ircs)://"
    r"(?>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?>(?::[0-9]{1,5})?)"
    r"(?![\w@\\%-]|[.:][^\s.,:;!?'\")\]])"
    r"(?:[/?#][\w\-.~:/?#\[\]@!$&'()*+,;=%|]*)?"
)

_TRAILING: Final = ".,:;!?'*|"
"""What ends a sentence, or marks words, rather than being of the link before it."""

_BRACKETS: Final = {")": "(", "]": "["}


def find_links(text: str) -> list[tuple[int, int]]:
    """Return where links start and end in ``text``, in order."""
    return [(match.start(), _end(match)) for match in _LINK.finditer(text)]


def address(link: str) -> str:
    """Return the link in ASCII, as programs exchange it (RFC 3987, section 3.1)."""
    return quote(link, safe=string.punctuation)


def _end(match: re.Match[str]) -> int:
    """Return the end without what belongs to the sentence: closing brackets that were not opened
    in the link, and punctuation.
    """
    link = match.group()
    open_brackets = dict.fromkeys(_BRACKETS, 0)
    for end, character in enumerate(link):
        for closing, opening in _BRACKETS.items():
            open_brackets[closing] += (character == opening) - (character == closing)
        if min(open_brackets.values()) < 0:
            return match.start() + len(link[:end].rstrip(_TRAILING))
    return match.start() + len(link.rstrip(_TRAILING))
