"""What the tools print: lines, columns, JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from securechat.server.log_output import harmless

__all__ = ["columns", "moment", "say", "say_json", "warn"]


def say(text: str = "") -> None:
    """Print text; what a terminal might obey in it is shown as a number."""
    print(harmless(text))  # noqa: T201 - what was asked for


def say_json(value: Any) -> None:
    """Print a value as JSON, for programs and people."""
    print(json.dumps(value, indent=2))  # noqa: T201 - what was asked for


def warn(text: str) -> None:
    """Print what a person should know beside the result, to the standard error output."""
    print(f"securechat-server: {harmless(text)}", file=sys.stderr)  # noqa: T201 - as it says


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines in which the cells of each column stand below each other."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def moment(at_s: float | None) -> str:
    """Return a time (seconds since 1970 UTC) for people; ``None`` is "never"."""
    return "never" if at_s is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_s))
