"""Invites: who may register an account where not everybody may, and which, and to which room.

Only a hash of each token is kept, so the database lets nobody in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["EXPIRED_KEPT_S", "ID_DIGITS", "Invite", "Invites"]

EXPIRED_KEPT_S: Final = 90 * 86_400
"""How long an invite is still listed after its end, in seconds: people ask why a link fails."""

ID_DIGITS: Final = 8
"""Hex digits by which an invite is named: a person can type them, and no two of a thousand invites
are likely to share them. They tell nothing of the token."""


@dataclass(frozen=True, slots=True)
class Invite:
    """One invite as it was when it was read. Immutable.

    ``id`` is the beginning of the hash of its token. ``account`` is the only one that it can
    register, as it was written, and ``room`` which whoever has registered may enter; empty where
    the invite names none. Times are seconds since 1970, UTC.
    """

    id: str
    uses_left: int
    uses: int
    expires_at: float
    created_at: float
    account: str = ""
    room: str = ""

    def usable(self, now: float) -> bool:
        """Whether it opens anything at that time."""
        return self.uses_left > 0 and now < self.expires_at


_COLUMNS: Final = (
    "code_hash, uses_left, uses, expires_at, created_at, coalesce(account, ''), coalesce(room, '')"
)


class Invites:
    """The table of invites. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        token: str,
        *,
        uses: int,
        expires_at: float,
        created_at: float,
        account: str = "",
        room: str = "",
    ) -> Invite:
        """Let ``token`` register ``uses`` accounts until ``expires_at``.

        Those that ended more than ``EXPIRED_KEPT_S`` before ``created_at`` are forgotten.
        """
        with store_errors("create an invitation"):
            self._connection.execute(
                "DELETE FROM invites WHERE expires_at < ?", (created_at - EXPIRED_KEPT_S,)
            )
            self._connection.execute(
                "INSERT INTO invites"
                " (code_hash, uses_left, uses, expires_at, created_at, account, room)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_hash(token), uses, uses, expires_at, created_at, account or None, room or None),
            )
        name = _hash(token).hex()[:ID_DIGITS]
        return Invite(name, uses, uses, expires_at, created_at, account, room)

    def redeem(
        self, token: str, now: float, account: str, fold: Callable[[str], str]
    ) -> Invite | None:
        """Use ``token`` once, to register ``account``; return what it was before.

        ``None``, and nothing is used, if there is no such token, or it is used up or expired, or is
        for another account. ``fold`` gives the form of a name that equal ones share.
        """
        with store_errors("redeem an invitation"):
            invite = self._find(token)
            if invite is None or not invite.usable(now):
                return None
            if invite.account and fold(invite.account) != fold(account):
                return None
            # Another relay may have used it since it was read: this waits until that is decided.
            used = self._connection.execute(
                "UPDATE invites SET uses_left = uses_left - 1"
                " WHERE code_hash = ? AND uses_left > 0",
                (_hash(token),),
            ).rowcount
            after = self._find(token) if used == 1 else None
        return None if after is None else replace(after, uses_left=after.uses_left + 1)

    def load(self) -> list[Invite]:
        """Return all invites that are kept, in the order in which they were made."""
        with store_errors("list the invitations"):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM invites ORDER BY created_at, code_hash"
            ).fetchall()
        return [_invite(*row) for row in rows]

    def withdraw(self, name: str) -> Invite:
        """Delete the invite whose ``id`` this is, or begins with it; return what it was.

        Raises ``StoreError`` if it is none, or several.
        """
        found = {}
        with store_errors("list the invitations"):
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM invites"):
                invite = _invite(*row)
                if name and invite.id.startswith(name.lower()):
                    found[bytes(row[0])] = invite
        if not found:
            raise StoreError("there is no invitation {name}", name=name)
        if len(found) > 1:
            raise StoreError(
                "there are {count} invitations whose id begins with {name}: write more of it",
                count=len(found),
                name=name,
            )
        ((code_hash, invite),) = found.items()
        with store_errors(f"withdraw the invitation {name}"):
            self._connection.execute("DELETE FROM invites WHERE code_hash = ?", (code_hash,))
        return invite

    def _find(self, token: str) -> Invite | None:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM invites WHERE code_hash = ?", (_hash(token),)
        ).fetchone()
        return None if row is None else _invite(*row)


def _invite(code_hash: bytes, *others: Any) -> Invite:
    return Invite(bytes(code_hash).hex()[:ID_DIGITS], *others)


def _hash(token: str) -> bytes:
    # A token is long and random, so a fast hash is enough.
    return hashlib.sha256(token.encode()).digest()
