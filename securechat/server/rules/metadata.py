"""What people publish of themselves and of channels, and who is told.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc.names import is_channel
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Fail
from securechat.server.rules.ranks import at_least
from securechat.server.rules.rule import Rule
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "Subject", "adopt_metadata", "find_subject", "metadata_of", "unsubscribe_all"]

Subject = User | Channel
"""Of whom, or of what, something is published."""


def find_subject(network: Network, asker: User, target: str) -> Subject:
    """Return whom ``target`` names, ``*`` being ``asker``.

    :raises Fail: there is nothing that they may see.
    """
    found: Subject | None
    if is_channel(target):
        found = network.find_channel(target)
        if found is not None and asker.id not in found.members and set("ski") & found.modes.keys():
            found = None
    else:
        found = asker if target == "*" else network.find_user(target)
    if found is None:
        raise Fail("METADATA", "INVALID_TARGET", target, text="There is no such nick or channel")
    return found


def metadata_of(network: Network, subject: Subject) -> Mapping[str, str]:
    """Return what is published of ``subject``, by key."""
    if isinstance(subject, User) and subject.account is not None:
        return network.metadata.get(network.fold(subject.account), {})
    return subject.metadata


def set_metadata(network: Network, event: events.SetMetadata) -> list[Effect]:
    """Publish something, or take it back."""
    user = network.sessions[event.stamp.session]
    subject = find_subject(network, user, event.target)
    _check_may_set(user, subject, event.target, event.key)
    values, limit = metadata_of(network, subject), network.limits.metadata_keys
    if event.value and event.key not in values and len(values) >= limit:
        text = f"There may be {limit} keys"
        raise Fail("METADATA", "LIMIT_REACHED", event.target, str(limit), text=text)
    return _change(network, event.stamp, subject, {event.key: event.value})


def clear_metadata(network: Network, event: events.ClearMetadata) -> list[Effect]:
    """Take back all that is published of somebody or something."""
    user = network.sessions[event.stamp.session]
    subject = find_subject(network, user, event.target)
    _check_may_set(user, subject, event.target, "*")
    return _change(network, event.stamp, subject, dict.fromkeys(metadata_of(network, subject), ""))


def adopt_metadata(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Give the account of ``user`` what they have published as a guest, where it has nothing."""
    values, user.metadata = user.metadata, {}
    kept = metadata_of(network, user)
    new = [(key, value) for key, value in values.items() if key not in kept]
    room = max(0, network.limits.metadata_keys - len(kept))
    return _change(network, stamp, user, dict(new[:room]))


def subscribe(network: Network, event: events.Subscribe) -> list[Effect]:
    """Have a session told of keys, as many as it may."""
    session = event.stamp.session
    for key in event.keys:
        keys = network.subscriptions.setdefault(session, {})
        if key in keys or len(keys) < network.limits.metadata_subscriptions:
            keys[key] = None
            network.subscribers.setdefault(key, {})[session] = None
    return []


def unsubscribe(network: Network, event: events.Unsubscribe) -> list[Effect]:
    """Have a session told no more of keys."""
    _unsubscribe(network, event.stamp.session, event.keys)
    return []


def unsubscribe_all(network: Network, session: SessionId) -> None:
    """Forget what a session, which has ended, has subscribed to."""
    _unsubscribe(network, session, tuple(network.subscriptions.get(session, ())))


def _unsubscribe(network: Network, session: SessionId, keys: tuple[str, ...]) -> None:
    subscribed = network.subscriptions.get(session, {})
    for key in keys:
        if key in subscribed:
            del subscribed[key]
            del network.subscribers[key][session]
            if not network.subscribers[key]:
                del network.subscribers[key]
    if not subscribed:
        network.subscriptions.pop(session, None)


def _check_may_set(user: User, subject: Subject, target: str, key: str) -> None:
    """Refuse unless ``user`` may: of themselves, of a channel from operator up, and with OPER."""
    if isinstance(subject, Channel):
        allowed = at_least(subject.ranks(user), "o")
    else:
        allowed = subject is user
    if not allowed and "o" not in user.modes:
        text = "You may not change this"
        raise Fail("METADATA", "KEY_NO_PERMISSION", target, key, text=text)


def _change(
    network: Network, stamp: Stamp, subject: Subject, changes: Mapping[str, str]
) -> list[Effect]:
    """Set keys, or take them back with an empty value; return what tells those who follow."""
    followers: set[SessionId] | None = None  # found once: there may be many, and of keys too
    found: list[Effect] = []
    for key, value in changes.items():
        if metadata_of(network, subject).get(key, "") == value:
            continue
        target, account, uid = _put(network, subject, key, value)
        subscribers = network.subscribers.get(key, {})
        if subscribers and followers is None:
            followers = _followers(network, subject) - {stamp.session}
        told = tuple(session for session in subscribers if session in (followers or ()))
        found.append(effects.MetadataChanged(stamp, target, key, value, told, account, uid))
    return found


def _put(network: Network, subject: Subject, key: str, value: str) -> tuple[str, str, str]:
    """Change a value; return what ``subject`` is called, its account, and its uid if a channel."""
    account = uid = ""
    if isinstance(subject, Channel):
        target, values, uid = subject.name, subject.metadata, subject.uid
    elif subject.account is not None:
        target, account = subject.nick, network.fold(subject.account)
        values = network.metadata.setdefault(account, {})
    else:
        target, values = subject.nick, subject.metadata
    if value:
        values[key] = value
    else:
        del values[key]
        if account and not values:
            del network.metadata[account]
    return target, account, uid


def _followers(network: Network, subject: Subject) -> set[SessionId]:
    """Return the sessions that hear of ``subject``: there, sharing a channel, or monitoring it."""
    if isinstance(subject, Channel):
        return {s for member in subject.members.values() for s in member.user.sessions}
    people = (subject, *network.audience(subject))
    return {s for user in people for s in user.sessions} | set(network.watching(subject.nick))


RULES: Final[Mapping[type[Event], Rule]] = {
    events.SetMetadata: set_metadata,
    events.ClearMetadata: clear_metadata,
    events.Subscribe: subscribe,
    events.Unsubscribe: unsubscribe,
}
"""The rule of each event."""
