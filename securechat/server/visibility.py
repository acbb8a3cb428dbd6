"""What one user may see of others: invisible users, secret channels, operators.

https://modern.ircdocs.horse/#invisible-user-mode and #secret-channel-mode
"""

from __future__ import annotations

from collections.abc import Iterator

from securechat.server.state import Channel, User

__all__ = ["sees_channel", "sees_details", "sees_user", "shown_address", "shown_channels"]


def sees_channel(asker: User, channel: Channel) -> bool:
    """Whether ``asker`` may know that ``channel`` exists, and who is in it."""
    return "s" not in channel.modes or asker.id in channel.members or "o" in asker.modes


def sees_user(asker: User, user: User) -> bool:
    """Whether ``asker`` finds ``user`` who did not name them.

    "Visible users are users who either aren't invisible (user mode +i) or have a common channel
    with the requesting client."
    """
    return (
        "i" not in user.modes
        or sees_details(asker, user)
        or not asker.channels.keys().isdisjoint(user.channels)
    )


def sees_details(asker: User, user: User) -> bool:
    """Whether ``asker`` may know what is only for ``user`` and the operators: where from, how."""
    return user is asker or "o" in asker.modes


def shown_channels(asker: User, user: User) -> Iterator[Channel]:
    """Yield the channels of ``user`` that ``asker`` may know of.

    All of an invisible user's are hidden but those that the two share.
    """
    trusted = sees_details(asker, user)
    for name, channel in user.channels.items():
        hidden = "s" in channel.modes or "i" in user.modes
        if trusted or not hidden or name in asker.channels:
            yield channel


def shown_address(address: str) -> str:
    """Return ``address`` as a parameter that need not be the last.

    A leading colon would end the middle parameters; "0::1" is the same address as "::1".
    """
    return f"0{address}" if address.startswith(":") else address
