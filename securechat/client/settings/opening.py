"""A network that is about to be opened, as the program and its interfaces hand it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from securechat.client.client import Client
from securechat.client.settings.profiles import Network

__all__ = ["MakeClient", "Opening"]


@dataclass(frozen=True, slots=True)
class Opening:
    """A network to be opened, called ``name``. Immutable.

    ``password``: known already; ``None``: where ``profile`` says, if that says anything.
    """

    name: str
    profile: Network
    password: str | None = field(default=None, repr=False)


MakeClient = Callable[[Opening, Callable[[], None]], Client]
"""Makes the client of a network, which calls back on its I/O thread when it has news.

It raises ``SecureChatError`` when that cannot be.
"""
