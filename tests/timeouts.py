"""How long a test waits for what must happen: used up only by one that fails."""

from __future__ import annotations

import os

__all__ = ["LONG_TIMEOUT_S", "TIMEOUT_SCALE"]

TIMEOUT_SCALE = float(os.environ.get("SECURECHAT_TIMEOUT_SCALE", "1"))
"""For a machine that is much slower than those that we know."""

LONG_TIMEOUT_S = 30 * TIMEOUT_SCALE
