"""What a check has found."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from securechat.server.administration.desk import Desk

__all__ = ["Check", "Finding", "Level", "ok", "problem", "warning"]


class Level(enum.StrEnum):
    """How bad it is."""

    OK = enum.auto()
    WARNING = enum.auto()
    """It works, but not for long, or not as well or as safely as it should."""
    PROBLEM = enum.auto()
    """It does not work, or is open to others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding, and what to do about it. Immutable; both are for a person."""

    level: Level
    text: str
    advice: str = ""


Check = Callable[[Desk], Iterable[Finding]]
"""Looks at one thing. It changes nothing, may block, and may raise ``SecureChatError`` and
``OSError``, which are problems too."""


def ok(text: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, text)


def warning(text: str, advice: str = "") -> Finding:
    """Return what will not go well for long."""
    return Finding(Level.WARNING, text, advice)


def problem(text: str, advice: str = "") -> Finding:
    """Return what is wrong."""
    return Finding(Level.PROBLEM, text, advice)
