"""METADATA: what people publish of themselves and of channels.

https://ircv3.net/specs/extensions/metadata, in the revision draft/metadata-3
(https://github.com/ircv3/ircv3-specifications/pull/613), under both names
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.metadata import is_key
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import ClearMetadata, SetMetadata, Subscribe, Unsubscribe
from securechat.server.metadata import later_line, members_and, subscribed_values, value_line
from securechat.server.refusals import Fail, Refusal
from securechat.server.rooms import words_lines
from securechat.server.rules.metadata import Subject, find_subject, metadata_of
from securechat.server.state import Channel

__all__ = ["begin_metadata"]

_ALL: Final = "*ALL"
"""The target of SYNC that stands for all that a client hears of."""


@command("METADATA", least=2, early=True)
def metadata(context: Context, message: Message) -> None:
    """METADATA <target> <GET | LIST | SET | CLEAR | SYNC | SUB | UNSUB | SUBS> [<key> [<value>]].

    See or change what is published of a person (* is you) or channel: a picture, a colour, a page.
    With SUB, UNSUB and SUBS, whose target is *, choose of which keys you are told.
    """
    target, subcommand, *params = message.params
    if not context.session.registration.complete:
        if not context.session.caps & caps.METADATA:
            raise Refusal(numerics.ERR_NOTREGISTERED)
        if target != "*":
            text = "You are not on the network yet; the target can only be *"
            raise Fail("METADATA", "INVALID_TARGET", as_middle(target), text=text)
    handler = _SUBCOMMANDS.get(subcommand.upper())
    if handler is None:
        raise Fail("METADATA", "INVALID_PARAMS", as_middle(subcommand), text="No such subcommand")
    handler(context, as_middle(target) if target != "*" else target, params)


def begin_metadata(context: Context) -> None:
    """Take what a client has said before it was on the network; send it what is published of it.

    "as part of the registration burst (…) If none exists, the server MUST send an empty batch"
    """
    registration = context.session.registration
    subscriptions, metadata = registration.subscriptions, registration.metadata
    registration.subscriptions, registration.metadata = [], {}
    if subscriptions:
        context.propose(Subscribe(context.stamp(), tuple(subscriptions)))
    _publish_early(context, list(metadata.items()))


def _publish_early(
    context: Context, values: list[tuple[str, str]], refusal: Refusal | Fail | None = None
) -> None:
    """Publish what a client has said before it was on the network, then list what there is.

    :param refusal: of the one before: the account may have as many keys as it may already.
    """
    if refusal is not None:
        context.refuse(refusal)
    if not values:
        if context.session.caps & caps.METADATA:
            _list(context, context.nick, [])
        return
    (key, value), *others = values
    go_on = partial(_publish_early, context, others)
    try:
        _check_store(context, "*", key)
    except Fail as fail:
        go_on(fail)
        return
    context.propose(SetMetadata(context.stamp(), "*", key, value), go_on, go_on)


# ---- subcommands ----


def _get(context: Context, target: str, keys: list[str]) -> None:
    shown, values = _values(context, target)
    _need(context, "GET", keys)
    with _batch(context, shown):
        for key in keys:
            if is_key(key):
                _tell(context, shown, key, values.get(key, ""))
            else:
                context.refuse(_invalid_key(key))


def _list(context: Context, target: str, params: list[str]) -> None:
    shown, values = _values(context, target)
    with _batch(context, shown):
        for key, value in values.items():
            _tell(context, shown, key, value)


def _set(context: Context, target: str, params: list[str]) -> None:
    _need(context, "SET", params)
    limits = context.services.config.limits
    key, value = params[0], params[1] if len(params) > 1 else ""
    if not is_key(key):
        raise _invalid_key(key)
    if len(value.encode()) > limits.metadata_value_bytes:
        text = f"The value has more than {limits.metadata_value_bytes} bytes"
        raise Fail("METADATA", "INVALID_VALUE", key, text=text)
    registration = context.session.registration
    if registration.complete:
        _check_store(context, target, key)
        event = SetMetadata(context.stamp(), target, key, value)
        context.propose(event, lambda: _tell(context, _shown(context, target), key, value))
        return
    kept = {name: kept for name, kept in registration.metadata.items() if name != key}
    if value and len(kept) >= limits.metadata_keys:
        text = f"There may be {limits.metadata_keys} keys"
        raise Fail("METADATA", "LIMIT_REACHED", "*", str(limits.metadata_keys), text=text)
    registration.metadata = kept | {key: value} if value else kept
    _tell(context, "*", key, value)


def _clear(context: Context, target: str, params: list[str]) -> None:
    shown, values = _values(context, target)
    keys = list(values)

    def tell() -> None:
        with _batch(context, shown):
            for key in keys:
                _tell(context, shown, key, "")

    if context.session.registration.complete:
        _check_store(context, target)
        context.propose(ClearMetadata(context.stamp(), target), tell)
    else:
        context.session.registration.metadata = {}
        tell()


def _sub(context: Context, target: str, keys: list[str]) -> None:
    _need(context, "SUB", keys)
    limit = context.services.config.limits.metadata_subscriptions
    subscribed = _subscribed(context)
    taken: list[str] = []
    for key in keys:
        if not is_key(key):
            context.refuse(_invalid_key(key))
        elif key not in subscribed and len({*subscribed, *taken}) >= limit:
            # "the server does not process any further keys in the subcommand"
            text = f"You may subscribe to {limit} keys"
            context.refuse(Fail("METADATA", "LIMIT_REACHED", key, str(limit), text=text))
            break
        else:
            taken.append(key)
    new = tuple(dict.fromkeys(key for key in taken if key not in subscribed))
    registration = context.session.registration
    if not registration.complete:
        registration.subscriptions = [*registration.subscriptions, *new]
        _keys(context, numerics.RPL_METADATASUBOK, taken)
        return
    context.propose(Subscribe(context.stamp(), new))
    _keys(context, numerics.RPL_METADATASUBOK, taken)
    if new:
        context.numeric_line(later_line(context.services.name, "*", _ALL, 0))


def _unsub(context: Context, target: str, keys: list[str]) -> None:
    _need(context, "UNSUB", keys)
    for key in keys:
        if not is_key(key):
            context.refuse(_invalid_key(key))
    taken = [key for key in keys if is_key(key)]
    registration = context.session.registration
    if registration.complete:
        context.propose(Unsubscribe(context.stamp(), tuple(taken)))
    registration.subscriptions = [key for key in registration.subscriptions if key not in taken]
    _keys(context, numerics.RPL_METADATAUNSUBOK, taken)


def _subs(context: Context, target: str, params: list[str]) -> None:
    with _batch(context, "", kind="metadata-subs"):
        _keys(context, numerics.RPL_METADATASUBS, _subscribed(context))


def _sync(context: Context, target: str, params: list[str]) -> None:
    services, session = context.services, context.session
    if not session.registration.complete:
        raise Fail("METADATA", "INVALID_TARGET", target, text="There is nothing to see yet")
    if target.upper() == _ALL:
        shown, subjects = _ALL, list(_all(context))
    else:
        subject = find_subject(services.network, context.user, target)
        shown, subjects = _shown(context, target), [subject]
        if isinstance(subject, Channel) and context.user.id in subject.members:
            subjects = list(members_and(subject))
    wait_s = session.sync_wait_s()
    if wait_s:
        context.numeric_line(later_line(services.name, "*", shown, wait_s))
        return
    with _batch(context, shown):
        for value in subscribed_values(services.network, session, subjects):
            _tell(context, *value)


_SUBCOMMANDS: Final[Mapping[str, Callable[[Context, str, list[str]], None]]] = {
    "GET": _get,
    "LIST": _list,
    "SET": _set,
    "CLEAR": _clear,
    "SUB": _sub,
    "UNSUB": _unsub,
    "SUBS": _subs,
    "SYNC": _sync,
}


# ---- inside ----


def _values(context: Context, target: str) -> tuple[str, Mapping[str, str]]:
    """Return what a target is called in answers, and what is published of it."""
    if not context.session.registration.complete:
        return "*", context.session.registration.metadata
    network = context.services.network
    subject = find_subject(network, context.user, target)
    return _shown(context, target), metadata_of(network, subject)


def _shown(context: Context, target: str) -> str:
    subject = find_subject(context.services.network, context.user, target)
    return subject.name if isinstance(subject, Channel) else subject.nick


def _check_store(context: Context, target: str, *about: str) -> None:
    """Refuse to change what is published of an account or a channel while it cannot be kept."""
    subject = find_subject(context.services.network, context.user, target)
    if isinstance(subject, Channel) or subject.account is not None:
        context.check_store(_shown(context, target), *about)


def _all(context: Context) -> Iterator[Subject]:
    """Yield each person and channel that the session hears of, once."""
    network, user = context.services.network, context.user
    people = {user.id: user}
    for channel in user.channels.values():
        yield channel
        people |= {key: member.user for key, member in channel.members.items()}
    for nick in network.monitors.get(context.session.id, ()):
        other = network.find_user(nick)
        if other is not None:
            people[other.id] = other
    yield from people.values()


def _subscribed(context: Context) -> list[str]:
    if not context.session.registration.complete:
        return context.session.registration.subscriptions
    return list(context.services.network.subscriptions.get(context.session.id, ()))


def _batch(context: Context, target: str, kind: str = "metadata") -> AbstractContextManager[None]:
    """Put answers into a batch, if the client knows such: the capability depends on it."""
    if not context.session.caps & caps.BATCH:
        return nullcontext()
    return context.batch(f"{kind} {target}".rstrip())


def _tell(context: Context, target: str, key: str, value: str) -> None:
    context.numeric_line(value_line(context.services.name, context.nick, target, key, value))


def _keys(context: Context, numeric: str, keys: Iterable[str]) -> None:
    for line in words_lines(keys, 0):
        for part in _parts(line.split(" ")):
            context.reply(numeric, *part)


def _parts(keys: list[str]) -> Iterator[list[str]]:
    """Yield ``keys`` in groups that fit the parameters of a message."""
    for start in range(0, len(keys), _KEYS_PER_LINE):
        yield keys[start : start + _KEYS_PER_LINE]


_KEYS_PER_LINE: Final = 13
"""A message has at most 15 parameters, of which the client's nick is the first."""


def _need(context: Context, subcommand: str, params: list[str]) -> None:
    if not params:
        text = f"{subcommand} needs a key"
        raise Fail("METADATA", "INVALID_PARAMS", subcommand, text=text)


def _invalid_key(key: str) -> Fail:
    return Fail("METADATA", "INVALID_KEY", as_middle(key), text="No such key can be")
