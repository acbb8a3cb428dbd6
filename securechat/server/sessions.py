"""The registry of all sessions of this relay."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from securechat.net.locks import make_lock
from securechat.server.events import SessionId

if TYPE_CHECKING:
    from securechat.server.session import Session

__all__ = ["SessionRegistry"]


class SessionRegistry:
    """Which sessions there are. Safe from any thread (own lock, tier 2); returns snapshots."""

    def __init__(self) -> None:
        self._lock = make_lock("SessionRegistry", tier=2)  # guards _sessions and _ids
        self._sessions: dict[SessionId, Session] = {}
        self._ids = itertools.count(1)

    def new_id(self) -> SessionId:
        """Return an id that no session has had."""
        with self._lock:
            return next(self._ids)

    def add(self, session: Session) -> None:
        """Take in a session whose connection has begun."""
        with self._lock:
            self._sessions[session.id] = session

    def remove(self, session: Session) -> None:
        """Let go of a session whose connection has ended. Does nothing the second time."""
        with self._lock:
            self._sessions.pop(session.id, None)

    def get(self, session_id: SessionId) -> Session | None:
        """Return the session, ``None`` if it has ended."""
        with self._lock:
            return self._sessions.get(session_id)

    def find(self, session_ids: Iterable[SessionId]) -> list[Session]:
        """Return those of the sessions that have not ended, in the order asked for."""
        with self._lock:
            sessions = self._sessions
            return [sessions[key] for key in session_ids if key in sessions]

    def snapshot(self) -> list[Session]:
        """Return all sessions of this moment."""
        with self._lock:
            return list(self._sessions.values())

    def __len__(self) -> int:
        with self._lock:
            return len(self._sessions)
