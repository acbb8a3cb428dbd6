"""What holds for a class that is made by ``securechat.values``."""

from __future__ import annotations

from securechat.values import value

__all__ = ["check_value"]


def check_value(kind: type) -> None:
    """Fail if it is not one: that these do not change, mypy holds."""
    assert vars(kind)["__hash__"].__module__ == value.__module__
    assert "__slots__" in vars(kind)
