"""Events as plain values, for other relays; and back, whoever has written them.

The plain form of an event is an object: its fields by name, and its class as ``type``. What forms
values have is said in ``securechat.server.plain``; each field must be there, and none else.

What a relay has proposed it has checked; whether a nick, say, has the form of one is not checked
again. That every value has its type is, so that nothing comes of an event that no relay could send
on or keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from securechat.errors import SecureChatError
from securechat.server import events
from securechat.server.events import Event
from securechat.server.plain import Form, NotPlain, fields_of

__all__ = [
    "EVENTS_VERSION",
    "EventFormatError",
    "UnknownVersion",
    "check_version",
    "decode",
    "encode",
]

EVENTS_VERSION: Final = 1
"""Of the plain form of all events. It is raised with whatever is changed in any of them: relays
that do not know it must stop, as they would no longer come to the same state as the others."""

_TYPE: Final = "type"


class EventFormatError(SecureChatError):
    """It is no event in its plain form, or one that has none. The text does not quote from it."""


class UnknownVersion(SecureChatError):
    """Another version of securechat has written it: this one must not go on."""


_CLASSES: Final[Mapping[str, type[Event]]] = {
    name: made
    for name, made in vars(events).items()
    if isinstance(made, type) and issubclass(made, Event) and made is not Event
}

_FORMS: Final[Mapping[str, Form]] = {name: fields_of(made) for name, made in _CLASSES.items()}


def check_version(version: object) -> None:
    """Check that events of this version can be decoded here.

    :raises UnknownVersion: they cannot.
    """
    if type(version) is not int or version != EVENTS_VERSION:
        raise UnknownVersion(
            "there are events of version {version!r} in the log, and this relay knows version "
            "{own}: all relays of a chat need the same version of securechat",
            version=version if isinstance(version, int) else type(version).__name__,
            own=EVENTS_VERSION,
        )


def encode(event: Event) -> dict[str, Any]:
    """Return the plain form of ``event``, which shares nothing with it that can be changed.

    :raises EventFormatError: ``decode`` would refuse it: a text has half a character, for example.
    """
    name = type(event).__name__
    form = _FORMS[name]
    plain: dict[str, Any] = form.to_plain(event)
    try:
        form.from_plain(plain)
    except NotPlain as error:
        raise EventFormatError("{name}.{error}", name=name, error=error) from None
    plain[_TYPE] = name
    return plain


def decode(plain: object) -> Event:
    """Return the event of a plain form, of ``EVENTS_VERSION``.

    :raises EventFormatError: it is none.
    """
    if type(plain) is not dict:
        raise EventFormatError("an event is an object")
    fields = plain.copy()
    name = fields.pop(_TYPE, None)
    form = _FORMS.get(name) if type(name) is str else None
    if form is None:
        raise EventFormatError("there is no event of this type")
    try:
        return _CLASSES[name](**form.from_plain(fields))
    except NotPlain as error:
        raise EventFormatError("{name}.{error}", name=name, error=error) from None
