"""Values in a plain form, which JSON has, and back: as the annotations of their types say.

A ``Form`` is made once, of an annotation or of the fields of a class. In it

- text, whole numbers, truth values and ``None`` are themselves; bytes are base64
- tuples, lists and sets (sorted) are lists; so are named tuples and dataclasses: their fields in
  order
- a mapping from text is an object; from anything else, a list of pairs; a ``dict`` that only holds
  keys, a list of these. Their order is kept.

What is read is checked: whoever has written it, nothing but a value of the right type comes of it.
What is written is not, as a whole chat has many values: reading it checks it.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from securechat.errors import SecureChatError

__all__ = ["INTEGER_BITS", "Form", "NotPlain", "fields_of", "form_of", "list_in", "named"]

K = TypeVar("K")

INTEGER_BITS: Final = 64
"""Bits of a whole number, its sign included: what the databases hold."""

_LEAST: Final = -(1 << INTEGER_BITS - 1)
_MOST: Final = -_LEAST - 1


class NotPlain(SecureChatError):
    """It is not the plain form of such a value, or no such value. The text says what is wrong, and
    nothing of what is in there.
    """


class Form(NamedTuple):
    """How the values of a type are plain, both ways.

    What ``to_plain`` returns shares nothing with the value that can be changed. ``from_plain``
    raises ``NotPlain``.
    """

    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


def form_of(hint: Any) -> Form:
    """Return the form of the values that an annotation allows.

    :raises TypeError: there is none, of that type.
    """
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice(frozenset(arguments))
    if origin in (Union, UnionType) and len(arguments) == 2 and arguments[1] is NoneType:
        return _optional(form_of(arguments[0]))
    if origin in (list, tuple, set, frozenset) and arguments[1:] in ((), (...,)):
        return _collection(origin, form_of(arguments[0]))
    if origin in (dict, Mapping):
        return _mapping(*arguments)
    if dataclasses.is_dataclass(hint) or hasattr(hint, "_fields"):
        return _record(hint, _forms_of(hint))
    raise TypeError(f"no plain form of {hint}")


def fields_of(made: type, /, but: Collection[str] = (), **others: Form) -> Form:
    """Return the form of what has the fields of a class as an object of these: see ``named``.

    :param but: the fields that are left out.
    :param others: the forms of those that are not as their annotations say, and of attributes that
        are no fields.
    """
    return named({**_forms_of(made, {*but, *others}), **others})


def named(forms: Mapping[str, Form]) -> Form:
    """Return the form of what has attributes of these names, as an object of them.

    What is read is a new ``dict`` with just these keys.
    """
    names, attributes = tuple(forms), _attributes(forms)
    writers = _writers(forms)
    readers = [(name, form.from_plain) for name, form in forms.items()]
    count = len(readers)

    def to_plain(value: Any) -> dict[str, Any]:
        plain = dict(zip(names, attributes(value), strict=True))
        for name, write in writers:
            plain[name] = write(plain[name])
        return plain

    def from_plain(plain: Any) -> dict[str, Any]:
        if type(plain) is not dict:
            raise _wrong("an object", plain)
        if len(plain) > count:
            raise NotPlain("{count} unknown names", count=len(plain.keys() - forms.keys()))
        values = {}
        try:
            for name, read in readers:
                values[name] = read(plain[name])
        except KeyError:
            raise NotPlain("{name}: missing", name=name) from None
        except NotPlain as error:
            raise NotPlain("{name}: {error}", name=name, error=error) from None
        return values

    return Form(to_plain, from_plain)


# ---- what is wrong ----


def _wrong(wanted: str, found: object) -> NotPlain:
    return NotPlain("{wanted} is wanted, not {found}", wanted=wanted, found=type(found).__name__)


# ---- single values ----


def _same(value: Any) -> Any:
    """Write what is plain as it is."""
    return value


def _writers(forms: Mapping[K, Form]) -> list[tuple[K, Callable[[Any], Any]]]:
    """Return what writes the values that are not plain as they are."""
    return [(key, form.to_plain) for key, form in forms.items() if form.to_plain is not _same]


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _wrong("a text", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotPlain("this text has half a character") from None
    if "\0" in value:
        raise NotPlain("this text has NUL in it")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise _wrong("a whole number", value)
    if not _LEAST <= value <= _MOST:
        raise NotPlain("this number has over {bits} bits", bits=INTEGER_BITS)
    return value


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong("true or false", value)
    return value


def _bytes_to_plain(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes_from_plain(plain: Any) -> bytes:
    try:
        return base64.b64decode(_text(plain), validate=True)
    except ValueError:
        raise NotPlain("this is not base64") from None


_SIMPLE: Final[Mapping[Any, Form]] = {
    str: Form(_same, _text),
    int: Form(_same, _number),
    bool: Form(_same, _truth),
    bytes: Form(_bytes_to_plain, _bytes_from_plain),
}


def _choice(choices: frozenset[str]) -> Form:
    def check(value: Any) -> str:
        if type(value) is not str or value not in choices:
            raise NotPlain("one of {choices} is wanted", choices=", ".join(sorted(choices)))
        return value

    return Form(_same, check)


def _optional(form: Form) -> Form:
    write, read = form

    def to_plain(value: Any) -> Any:
        return None if value is None else write(value)

    def from_plain(plain: Any) -> Any:
        return None if plain is None else read(plain)

    return Form(_same if write is _same else to_plain, from_plain)


# ---- several values ----


def list_in(plain: Any) -> list[Any]:
    """Return what is read, which must be a list. Raises ``NotPlain``."""
    if type(plain) is not list:
        raise _wrong("a list", plain)
    return plain


def _check_distinct(found: Collection[Any], plain: list[Any]) -> None:
    if len(found) != len(plain):
        raise NotPlain("something is there twice")


def _collection(made: Callable[[Iterable[Any]], Collection[Any]], item: Form) -> Form:
    write, read = item
    ordered = sorted if made in (set, frozenset) else list

    def to_plain(values: Iterable[Any]) -> list[Any]:
        found: list[Any] = ordered(values)
        return found if write is _same else [write(value) for value in found]

    def from_plain(plain: Any) -> Collection[Any]:
        found = made([read(each) for each in list_in(plain)])
        _check_distinct(found, plain)
        return found

    return Form(to_plain, from_plain)


def _mapping(key: Any, value: Any) -> Form:
    if value is None:
        return _keys(form_of(key))
    return (_object if key is str else _pairs)(form_of(key), form_of(value))


def _keys(key: Form) -> Form:
    def from_plain(plain: Any) -> dict[Any, None]:
        found = dict.fromkeys([key.from_plain(each) for each in list_in(plain)])
        _check_distinct(found, plain)
        return found

    return Form(list, from_plain)


def _object(_key: Form, item: Form) -> Form:
    write, read = item

    def to_plain(values: Mapping[str, Any]) -> dict[str, Any]:
        if write is _same:
            return dict(values)
        return {name: write(value) for name, value in values.items()}

    def from_plain(plain: Any) -> dict[str, Any]:
        if type(plain) is not dict:
            raise _wrong("an object", plain)
        return {_text(name): read(value) for name, value in plain.items()}

    return Form(to_plain, from_plain)


def _pairs(key: Form, item: Form) -> Form:
    write = item.to_plain

    def to_plain(values: Mapping[Any, Any]) -> list[list[Any]]:
        return [[each, write(value)] for each, value in values.items()]

    def from_plain(plain: Any) -> dict[Any, Any]:
        found = {}
        for pair in list_in(plain):
            if len(list_in(pair)) != 2:
                raise NotPlain("a pair is wanted")
            found[key.from_plain(pair[0])] = item.from_plain(pair[1])
        _check_distinct(found, plain)
        return found

    return Form(to_plain, from_plain)


# ---- fields ----


def _attributes(names: Collection[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the attributes of these names."""
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _forms_of(made: Any, but: Collection[str] = ()) -> dict[str, Form]:
    """Return the forms of the fields by name, in the order in which ``made`` takes them."""
    names = (
        [field.name for field in dataclasses.fields(made) if field.init]
        if dataclasses.is_dataclass(made)
        else made._fields
    )
    hints = get_type_hints(made)
    return {name: form_of(hints[name]) for name in names if name not in but}


def _record(made: Callable[..., Any], forms: Mapping[str, Form]) -> Form:
    attributes = _attributes(forms)
    writers = _writers(dict(enumerate(forms.values())))
    readers = [(place, form.from_plain) for place, form in enumerate(forms.values())]
    count = len(readers)

    def to_plain(value: Any) -> list[Any]:
        plain = list(attributes(value))
        for place, write in writers:
            plain[place] = write(plain[place])
        return plain

    def from_plain(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != count:
            raise NotPlain("a list of {count} values is wanted", count=count)
        return made(*[read(plain[place]) for place, read in readers])

    return Form(to_plain, from_plain)
