"""Names that are there, by what they look like. Guarded by the network lock."""

from __future__ import annotations

from collections.abc import Iterator

from securechat.server.names import Names

__all__ = ["Lookalikes"]


class Lookalikes:
    """Some names, found by their skeletons; part of the chat state, made from it alone."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._found: dict[str, dict[str, None]] = {}  # skeleton → folded names

    def add(self, name: str) -> None:
        """Take in a name."""
        for skeleton in self._names.skeletons(name):
            self._found.setdefault(skeleton, {})[self._names.fold(name)] = None

    def remove(self, name: str) -> None:
        """Let go of a name that was added in just this form."""
        for skeleton in self._names.skeletons(name):
            found = self._found[skeleton]
            found.pop(self._names.fold(name), None)
            if not found:
                del self._found[skeleton]

    def of(self, name: str) -> Iterator[str]:
        """Yield the folded names that can be taken for ``name``, and are not that name."""
        own = self._names.fold(name)
        for skeleton in self._names.skeletons(name):
            for key in self._found.get(skeleton, ()):
                if key != own:
                    yield key
