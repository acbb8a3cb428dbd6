"""What values consist of, as text: so that a test can hold a form that other relays must know."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["fingerprint", "shape"]


def shape(hint: Any) -> str:
    """Return all that matters of the values of an annotation, down to the last field."""
    if get_origin(hint) is not None:
        inner = ",".join(shape(each) for each in get_args(hint))
        return f"{getattr(get_origin(hint), '__name__', '|')}[{inner}]"
    names = getattr(hint, "_fields", None)
    if dataclasses.is_dataclass(hint):
        names = [field.name for field in dataclasses.fields(hint) if field.init]
    if names is None:
        return hint.__name__ if isinstance(hint, type) else repr(hint)
    hints = get_type_hints(hint)
    return f"{hint.__name__}({','.join(f'{name}:{shape(hints[name])}' for name in names)})"


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
