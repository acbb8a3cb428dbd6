"""The language that the clients speak: English in the code, others from ``locale/``.

Texts are marked where they stand, so that a search for what the screen shows finds the line::

    _("{nick} joined {room}", nick=nick, room=room)
    ngettext("{count} person", "{count} people", count)
    gettext_noop("marked here, translated where it is shown")
    raise NetworkError("no welcome from {host}", host=host)     # explain() translates it

The catalogues are ``locale/<language>/LC_MESSAGES/securechat.po``; ``scripts/translations.py``
brings them up to date and compiles them. The ``.mo`` files are committed, so that nobody needs a
tool to install, and a test holds them equal to their ``.po``.
"""

from __future__ import annotations

import gettext
import os
from pathlib import Path
from typing import Final

from securechat.errors import ConfigError, SecureChatError, gettext_noop

__all__ = [
    "DOMAIN",
    "LOCALES",
    "_",
    "choose_language",
    "explain",
    "gettext_noop",
    "language",
    "languages",
    "ngettext",
]

DOMAIN: Final = "securechat"

LOCALES: Final = Path(__file__).parents[2] / "locale"
"""Where the catalogues are."""

_SOURCE: Final = "en"


class _Chosen:
    """The catalogue in use. Chosen once, at the start, before other threads ask."""

    catalogue: gettext.NullTranslations = gettext.NullTranslations()
    language: str = _SOURCE


def choose_language(wanted: str = "") -> None:
    """Speak ``wanted`` from now on; empty: what the environment says (``LANGUAGE``, ``LC_ALL``,
    ``LC_MESSAGES``, ``LANG``); English where there is no catalogue of it.

    For the start of a program. ``argparse`` follows: it asks the standard library, which looks into
    the environment.
    """
    if wanted:
        os.environ["LANGUAGE"] = wanted
    gettext.bindtextdomain(DOMAIN, str(LOCALES))
    gettext.textdomain(DOMAIN)
    asked = [wanted] if wanted else None
    if wanted.partition("_")[0].lower() == _SOURCE:
        catalogue: gettext.NullTranslations = gettext.NullTranslations()
    else:
        catalogue = gettext.translation(DOMAIN, LOCALES, asked, fallback=True)
    _Chosen.catalogue = catalogue
    _Chosen.language = catalogue.info().get("language", _SOURCE)


def language() -> str:
    """Return the language in use, ``en`` or ``ru``."""
    return _Chosen.language


def languages() -> list[str]:
    """Return the languages that there are."""
    return sorted({_SOURCE, *(path.name for path in LOCALES.iterdir() if path.is_dir())})


def _(message: str, /, **values: object) -> str:
    """Return ``message`` in the language in use, with ``values`` for its names in braces."""
    text = _Chosen.catalogue.gettext(message) if message else ""
    return text.format(**values) if values else text


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the form of the text that fits ``count``, which is also the name ``{count}`` in it."""
    return _Chosen.catalogue.ngettext(one, many, count).format(count=count, **values)


def explain(error: BaseException) -> str:
    """Return what ``error`` says, in the language in use."""
    if isinstance(error, ConfigError):
        return "\n".join(_(problem) for problem in error.problems)
    if not isinstance(error, SecureChatError):
        return str(error)
    values = {name: _value(value) for name, value in error.values.items()}
    return _(error.message, **values)


def _value(value: object) -> object:
    return explain(value) if isinstance(value, BaseException) else value
