"""Names of files from others, made harmless, and places for them that were free.

A name is one component of a path on every system, so that a folder with received files can be moved
to another one. It looks like what it is: nothing in it is invisible or turns the text around.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Final

from securechat.errors import StoreError
from securechat.irc.text import cut_text

__all__ = ["NAME_BYTES", "PLACES_TRIED", "place", "safe_name"]

NAME_BYTES: Final = 200
"""Longest name, in UTF-8. File systems allow 255 bytes or UTF-16 units; the rest is for the number
that ``place`` adds, and for what a caller puts behind."""

PLACES_TRIED: Final = 1_000
"""Numbers tried for a name that is taken. A thousand files of one name are no accident."""

_EXTENSION_BYTES: Final = 20
"""Longest extension, with its dot; more than that after a dot is a part of a sentence."""

_FALLBACK: Final = "file"
_SEPARATORS: Final = re.compile(r"[/\\]")
_FORBIDDEN: Final = frozenset('<>:"|?*')
"""What Windows does not allow in a name (a colon would begin another stream of the file)."""

_RESERVED: Final = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|\Z)", re.IGNORECASE
)
"""Devices of Windows, whatever extension they have."""


def safe_name(name: str) -> str:
    """Return the name under which a file that is called ``name`` elsewhere can be kept here.

    It is never empty, takes at most ``NAME_BYTES`` and has the extension of ``name``. A safe name
    stays as it is.
    """
    last = _SEPARATORS.split(name)[-1]
    shown = "".join(filter(None, map(_shown, last)))
    # Runs of spaces push an extension out of sight. A leading dot hides a file; Windows drops dots
    # and spaces at the end, so that two names would be one.
    tidy = " ".join(unicodedata.normalize("NFC", shown).split()).strip(" .")
    if _RESERVED.match(tidy):
        tidy = f"_{tidy}"
    return _cut(tidy) or _FALLBACK


def place(folder: Path, name: str) -> Path:
    """Make an empty file in ``folder`` under the safe form of ``name``, or that with a number.

    Nothing that exists is touched, links are not followed. The file is for its owner alone (0600).

    :raises StoreError: it cannot be made, or too many files have that name.
    """
    stem, extension = _split(safe_name(name))
    for number in range(PLACES_TRIED):
        path = folder / f"{stem}{f' ({number})' if number else ''}{extension}"
        try:
            # With O_EXCL a link in the last place counts as a file that exists (POSIX, open).
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(
                "cannot make {path}: {reason}", path=path, reason=error.strerror
            ) from error
        return path
    raise StoreError(
        "{folder} has {count} files called {stem}{extension}",
        folder=folder,
        count=PLACES_TRIED,
        stem=stem,
        extension=extension,
    )


def _shown(character: str) -> str:
    """The character as it may stand in a name; empty for one that nobody would see."""
    category = unicodedata.category(character)
    if category == "Cf":  # zero-width, direction, tags
        return ""
    if character in _FORBIDDEN or (category in ("Cc", "Cs") and not character.isspace()):
        return "_"
    return character


def _cut(name: str) -> str:
    if len(name.encode()) <= NAME_BYTES:
        return name
    stem, extension = _split(name)
    stem = cut_text(stem, NAME_BYTES - len(extension.encode()))
    return stem.rstrip(" .") + extension


def _split(name: str) -> tuple[str, str]:
    """Return the name without its extension, and that with its dot; together they are the name."""
    stem, dot, extension = name.rpartition(".")
    if not stem or " " in extension or len(extension.encode()) >= _EXTENSION_BYTES:
        return name, ""
    return stem, dot + extension
