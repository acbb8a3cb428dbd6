"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from securechat.server.effects import Effect
    from securechat.server.network import Network

__all__ = ["Rule"]

Rule = Callable[["Network", Any], "list[Effect]"]
"""Takes the network and an event of the rule's kind, changes the state, returns what changed.

:raises Refusal: the state forbids it; nothing has changed.
"""
