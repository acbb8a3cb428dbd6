"""Which keys metadata may have.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["KEY_LENGTH", "is_key"]

KEY_LENGTH: Final = 64
"""Most characters of a key: key, target and value must fit one line. The longest registered one has
13."""

_KEY: Final = re.compile(r"[a-z0-9_./-]+")


def is_key(key: str) -> bool:
    """Whether ``key`` is legal: "restricted to the ranges a-z, 0-9, and _./-"."""
    return len(key) <= KEY_LENGTH and _KEY.fullmatch(key) is not None
