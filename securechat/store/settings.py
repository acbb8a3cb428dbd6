"""What people have set for their accounts, as texts that only the caller understands."""

from __future__ import annotations

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["AccountSettings"]


class AccountSettings:
    """The table of settings, by folded account and key. Owned by the connection's thread.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, account: str, key: str, value: str) -> None:
        """Keep the value, instead of the one before."""
        with store_errors(f"save the setting {key} of {account}"):
            self._connection.execute(
                "INSERT INTO account_settings (account, key, value) VALUES (?, ?, ?)"
                " ON CONFLICT (account, key) DO UPDATE SET value = excluded.value",
                (account, key, value),
            )

    def get_all(self, account: str) -> dict[str, str]:
        """Return what the account has set, by key."""
        with store_errors(f"read the settings of {account}"):
            rows = self._connection.execute(
                "SELECT key, value FROM account_settings WHERE account = ?", (account,)
            ).fetchall()
        return dict(rows)

    def load(self) -> dict[str, dict[str, str]]:
        """Return the settings of all accounts that have any, by account and key."""
        settings: dict[str, dict[str, str]] = {}
        with store_errors("load the settings of accounts"):
            for account, key, value in self._connection.execute(
                "SELECT account, key, value FROM account_settings"
            ):
                settings.setdefault(account, {})[key] = value
        return settings

    def delete(self, account: str, key: str) -> None:
        """Forget the setting; does nothing if it is not set."""
        with store_errors(f"delete the setting {key} of {account}"):
            self._connection.execute(
                "DELETE FROM account_settings WHERE account = ? AND key = ?", (account, key)
            )

    def delete_account(self, account: str) -> None:
        """Forget all that the account has set."""
        with store_errors(f"delete the settings of {account}"):
            self._connection.execute("DELETE FROM account_settings WHERE account = ?", (account,))
