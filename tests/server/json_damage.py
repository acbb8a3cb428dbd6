"""JSON that somebody has changed, anywhere."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

__all__ = ["damaged"]

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.sampled_from([-(1 << 63), (1 << 63) - 1, 1 << 63, 10**40]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["\0", "\ud800", "#den", "alice", "PRIVMSG", "AAAA", "A"]),
)

_VALUES = st.one_of(
    _LEAVES,
    st.lists(_LEAVES, max_size=3),
    st.dictionaries(st.text(max_size=3), _LEAVES, max_size=2),
)


@st.composite
def damaged(draw: st.DrawFn, plain: Any) -> Any:
    """Draw a copy of ``plain`` with something else in one to three places."""
    changed = [copy.deepcopy(plain)]
    for _ in range(draw(st.integers(1, 3))):
        _damage(draw, changed, 0)
    return changed[0]


def _damage(draw: st.DrawFn, holder: Any, key: Any) -> None:
    """Change what is at ``key`` of ``holder``, or something within it."""
    value = holder[key]
    if isinstance(value, dict | list) and value and draw(st.integers(0, 9)):
        inner = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        _damage(draw, value, inner)
        return
    match draw(st.integers(0, 3)):
        case 0 if holder is not None and isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, list) and len(holder) > 1:
            del holder[key]
        case 2 if isinstance(holder, dict):
            holder["unknown"] = value
        case 3 if isinstance(holder, list):
            holder.append(copy.deepcopy(value))
        case _:
            holder[key] = draw(_VALUES)
