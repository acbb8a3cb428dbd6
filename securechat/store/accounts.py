"""The password store: who may log in, and by what they prove it.

A name comes in two forms: as the person typed it, and folded by the network's casemapping, which
is the key. Folding is the caller's work; nothing here knows what a name may look like.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from securechat.errors import AccountExists, StoreError
from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["Account", "Accounts"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it was when it was read. Immutable.

    ``password_hash`` is a PHC string (``securechat.store.passwords``), ``scram`` the serialised
    SCRAM-SHA-256 verifier, opaque here. Times are seconds since 1970, UTC. ``suspended`` is why
    nobody may log in, ``None`` where everybody who can may.
    """

    name: str
    password_hash: str = field(repr=False)
    scram: str = field(repr=False)
    created_at: float
    last_login_at: float | None = None
    suspended: str | None = None


class Accounts:
    """The table of accounts. Owned by the thread that opened the connection.

    Neither begins nor commits: what is written lasts when the caller's transaction does. Every
    method raises ``StoreError`` if the database cannot be read or written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, name: str, folded_name: str, password_hash: str, scram: str, created_at: float
    ) -> Account:
        """Add an account. Raises ``AccountExists`` if the folded name is taken."""
        with store_errors(f"create the account {name}"):
            # Not by an error of the database: after one PostgreSQL does nothing more.
            created = self._connection.execute(
                "INSERT INTO accounts (folded_name, name, password_hash, scram, created_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (folded_name) DO NOTHING",
                (folded_name, name, password_hash, scram, created_at),
            ).rowcount
        if created != 1:
            raise AccountExists(f"there is an account {name} already")
        return Account(name, password_hash, scram, created_at)

    def get_or_create(
        self, name: str, folded_name: str, password_hash: str, scram: str, created_at: float
    ) -> Account:
        """Return the account that there is, or add it: the same for several relays at once."""
        found = self.get(folded_name)
        if found is None:
            try:
                return self.create(name, folded_name, password_hash, scram, created_at)
            except AccountExists:  # another relay was faster
                found = self.get(folded_name)
        if found is None:
            raise StoreError(f"the account {name} is being deleted")
        return found

    def get(self, folded_name: str) -> Account | None:
        """Return the account, or None if there is none of that name."""
        with store_errors(f"read the account {folded_name}"):
            row = self._connection.execute(
                "SELECT name, password_hash, scram, created_at, last_login_at, suspended"
                " FROM accounts WHERE folded_name = ?",
                (folded_name,),
            ).fetchone()
        return None if row is None else Account(*row)

    def set_credentials(self, folded_name: str, password_hash: str, scram: str) -> None:
        """Set a new password. Raises ``StoreError`` if there is no such account."""
        with store_errors(f"change the password of {folded_name}"):
            changed = self._connection.execute(
                "UPDATE accounts SET password_hash = ?, scram = ? WHERE folded_name = ?",
                (password_hash, scram, folded_name),
            ).rowcount
        _require(changed, folded_name)

    def upgrade_credentials(
        self, folded_name: str, old_password_hash: str, password_hash: str, scram: str
    ) -> bool:
        """Replace the hash of the same password by a better one; tell whether that was done.

        Nothing is done if the account no longer has ``old_password_hash``: then the password was
        changed while the old one was being hashed anew, and must not come back.
        """
        with store_errors(f"upgrade the password hash of {folded_name}"):
            changed = self._connection.execute(
                "UPDATE accounts SET password_hash = ?, scram = ?"
                " WHERE folded_name = ? AND password_hash = ?",
                (password_hash, scram, folded_name, old_password_hash),
            ).rowcount
        return changed == 1

    def suspend(self, folded_name: str, reason: str | None) -> None:
        """Let nobody log in for this reason, or everybody again (``None``).

        Raises ``StoreError`` if there is no such account.
        """
        with store_errors(f"suspend the account {folded_name}"):
            changed = self._connection.execute(
                "UPDATE accounts SET suspended = ? WHERE folded_name = ?", (reason, folded_name)
            ).rowcount
        _require(changed, folded_name)

    def suspended(self) -> dict[str, str]:
        """Return why each account is suspended that is, by folded name."""
        with store_errors("list the suspended accounts"):
            rows = self._connection.execute(
                "SELECT folded_name, suspended FROM accounts WHERE suspended IS NOT NULL"
            ).fetchall()
        return dict(rows)

    def delete(self, folded_name: str) -> None:
        """Delete the account itself; does nothing if there is none. See ``account_records``."""
        with store_errors(f"delete the account {folded_name}"):
            self._connection.execute("DELETE FROM accounts WHERE folded_name = ?", (folded_name,))

    def touch_login(self, folded_name: str, at: float) -> None:
        """Note the time of a login. Raises ``StoreError`` if there is no such account."""
        with store_errors(f"note a login of {folded_name}"):
            changed = self._connection.execute(
                "UPDATE accounts SET last_login_at = ? WHERE folded_name = ?", (at, folded_name)
            ).rowcount
        _require(changed, folded_name)

    def load(self) -> list[Account]:
        """Return all accounts in the order of the folded names."""
        with store_errors("list the accounts"):
            rows = self._connection.execute(
                "SELECT name, password_hash, scram, created_at, last_login_at, suspended"
                " FROM accounts ORDER BY folded_name"
            ).fetchall()
        return [Account(*row) for row in rows]

    def names(self) -> list[tuple[str, str]]:
        """Return (folded name, name) of every account, in the order of the folded names."""
        with store_errors("list the accounts"):
            return self._connection.execute(
                "SELECT folded_name, name FROM accounts ORDER BY folded_name"
            ).fetchall()


def _require(changed: int, folded_name: str) -> None:
    if changed != 1:
        raise StoreError(f"there is no account {folded_name}")
