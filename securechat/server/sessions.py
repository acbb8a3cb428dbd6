"""The registry of all sessions of this relay."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from securechat.net.locks import make_lock
from securechat.server.events import SessionId
from securechat.server.state import UserId

if TYPE_CHECKING:
    from securechat.server.session import Session

__all__ = ["People", "SessionRegistry"]


class People(NamedTuple):
    """Who is connected to this relay: registered sessions, their users, and the most of these."""

    sessions: int
    users: int
    most_users: int


class SessionRegistry:
    """Which sessions there are. Safe from any thread (own lock, tier 2); returns snapshots."""

    def __init__(self) -> None:
        self._lock = make_lock("SessionRegistry", tier=2)  # guards what follows
        self._sessions: dict[SessionId, Session] = {}
        self._ids = itertools.count(1)
        self._users: dict[SessionId, UserId] = {}  # of those that have registered
        self._sessions_of: Counter[UserId] = Counter()  # no zeros
        self._most_users = 0

    def new_id(self) -> SessionId:
        """Return an id that no session has had."""
        with self._lock:
            return next(self._ids)

    def begin_at(self, number: SessionId) -> None:
        """Give ids after ``number`` from now on."""
        with self._lock:
            self._ids = itertools.count(number + 1)

    def add(self, session: Session) -> None:
        """Take in a session whose connection has begun."""
        with self._lock:
            self._sessions[session.id] = session

    def remove(self, session: Session) -> None:
        """Let go of a session whose connection has ended. Does nothing the second time."""
        with self._lock:
            self._sessions.pop(session.id, None)
            user = self._users.pop(session.id, None)
            if user is not None:
                self._sessions_of[user] -= 1
                if not self._sessions_of[user]:
                    del self._sessions_of[user]

    def has_registered(self, session: Session, user: UserId) -> None:
        """Take note of whose session it is. Does nothing if it has ended."""
        with self._lock:
            if session.id in self._sessions:
                self._users[session.id] = user
                self._sessions_of[user] += 1
                self._most_users = max(self._most_users, len(self._sessions_of))

    @property
    def people(self) -> People:
        """How many people are connected to this relay."""
        with self._lock:
            return People(len(self._users), len(self._sessions_of), self._most_users)

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
