"""What delivers an effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from securechat.server.context import Context
    from securechat.server.delivery.delivery import Delivery
    from securechat.server.effects import Effect

__all__ = ["Deliverer", "Deliverers"]

Deliverer = Callable[["Delivery", Any, "Context"], None]
"""Takes the delivery, an effect of its kind, and the context of the command that caused it."""

Deliverers = Mapping["type[Effect]", Deliverer]
"""What delivers each effect of a group."""
