"""Effects as lines of the relay's log. Never the text of a message, never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from securechat.server import effects
from securechat.server.ban_words import until
from securechat.server.effects import Effect
from securechat.server.state import session_label

__all__ = ["describe"]


def describe(found: Iterable[Effect]) -> Iterator[str]:
    """Yield a line for each effect that the log tells of."""
    for effect in found:
        match effect:
            case effects.Joined(channel=channel, user=user):
                yield f"join {user.nick} {channel.name}: {len(channel.members)} there"
            case effects.Parted(channel=channel, user=user):
                yield f"leave {user.nick} {channel.name}: {len(channel.members)} remain"
            case effects.Kicked(channel=channel, user=user, author=author):
                by = author.source.partition("!")[0]
                yield f"kick {user.nick} {channel.name} by {by}: {len(channel.members)} remain"
            case effects.Killed(user=user, author=author):
                yield f"kill {user.nick} by {author.source.partition('!')[0]}"
            case effects.PutOff(user=user, devices=devices, cause=cause):
                yield f"put off {user.nick}: {cause}, {len(devices)} devices"
            case effects.DeviceEnded(account=account, device=device):
                yield f"account {account} has ended #{session_label(device)}"
            case effects.BanAdded(ban=ban, count=count):
                yield f"{ban.kind}-line {ban.mask} by {ban.by} {until(ban)}: {count} devices there"
            case effects.BanRemoved(ban=ban, by=by):
                yield f"{ban.kind}-line {ban.mask} {f'removed by {by}' if by else 'has ended'}"
            case effects.AccountClosed(account=account, forgotten=forgotten):
                yield f"account {account} {'forgotten' if forgotten else 'closed'}"
            case effects.ChannelRenamed(channel=channel, author=author, old_name=old_name):
                by = author.source.partition("!")[0]
                yield f"rename {old_name} {channel.name} by {by}"
            case effects.OwnerChanged(channel=channel, author=author):
                by = author.source.partition("!")[0]
                yield f"owner of {channel.name} by {by}: {channel.owner or 'nobody'}"
            case effects.RetentionChanged(channel=channel, author=author, days=days):
                by = author.source.partition("!")[0]
                kept = "as configured" if days is None else f"{days} days"
                yield f"history of {channel.name} by {by}: {kept}"
            case effects.Quit(user=user, channels=channels):
                for channel in channels:
                    yield f"leave {user.nick} {channel.name}: {len(channel.members)} remain"
            case effects.NickChanged(author=author, nick=nick):
                yield f"nick {author.source.partition('!')[0]} is now {nick}"
            case effects.AccountChanged(user=user):
                yield f"login {user.nick} account {user.account}"
            case effects.DeviceAnnounced(user=user, fingerprint=fingerprint):
                yield f"announce {user.nick} device {fingerprint}"
            case _:
                pass
