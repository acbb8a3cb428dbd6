"""How values are made that there are many of: kinds of them, and of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

__all__ = ["value"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(made: type[T]) -> type[T]:
    """Make a class a dataclass with slots that is not changed once it is made: a decorator.

    The type checker holds that. ``dataclass(frozen=True)`` would hold it while the program runs,
    and make a value five times as slow to make: microseconds for each message. It also takes four
    times as long for the class itself, since ``dataclass`` compiles each method: with hundreds of
    classes that was a fifth of what our programs take to start. Here it compiles ``__init__``.

    A field may say ``repr`` and ``compare``; its hash is that of what is compared.
    """
    if TYPE_CHECKING:
        return made
    made = dataclass(slots=True, eq=False, repr=False)(made)
    shown = [each.name for each in fields(made) if each.repr]
    compared = [each.name for each in fields(made) if each.compare]
    content = attrgetter(*compared) if compared else _nothing

    def equals(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return content(self) == content(other)

    def hash_of(self: object) -> int:
        return hash(content(self))

    def text_of(self: object) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({told})"

    methods = {"__eq__": equals, "__hash__": hash_of, "__repr__": text_of}
    for name, method in methods.items():
        if name not in vars(made):
            setattr(made, name, method)
    return made


def _nothing(_value: Any) -> None:
    """What a value without fields holds."""
