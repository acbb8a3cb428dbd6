"""Certificates that people have added to their accounts, by fingerprint.

A fingerprint is the SHA-256 of a certificate in hex, in one case throughout: the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["AccountCertificate", "AccountCertificates"]


@dataclass(frozen=True, slots=True)
class AccountCertificate:
    """One certificate of an account: when it was added, and what its owner calls it. Immutable."""

    fingerprint: str
    label: str
    added_ms: int


class AccountCertificates:
    """The table of certificates. Owned by the thread that opened the connection.

    A fingerprint belongs to one account at most. Neither begins nor commits. Every method raises
    ``StoreError`` if the database cannot be read or written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, account: str, fingerprint: str, label: str, at_ms: int) -> bool:
        """Add the certificate to the folded account; ``False`` if it belongs to one already.

        That may be this account or another: ``find`` tells. How many an account may have is for
        the caller to limit.
        """
        with store_errors(f"add a certificate to {account}"):
            cursor = self._connection.execute(
                "INSERT INTO account_certificates (fingerprint, account, label, added_ms)"
                " VALUES (?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
                (fingerprint, account, label, at_ms),
            )
        return cursor.rowcount == 1

    def remove(self, account: str, fingerprint: str) -> bool:
        """Take the certificate from the account; ``False`` if it does not belong to it."""
        with store_errors(f"remove a certificate of {account}"):
            cursor = self._connection.execute(
                "DELETE FROM account_certificates WHERE account = ? AND fingerprint = ?",
                (account, fingerprint),
            )
        return cursor.rowcount == 1

    def list(self, account: str) -> tuple[AccountCertificate, ...]:
        """Return the account's certificates in the order in which they were added."""
        with store_errors(f"list the certificates of {account}"):
            rows = self._connection.execute(
                "SELECT fingerprint, label, added_ms FROM account_certificates"
                " WHERE account = ? ORDER BY added_ms, fingerprint",
                (account,),
            ).fetchall()
        return tuple(AccountCertificate(*row) for row in rows)

    def find(self, fingerprint: str) -> str | None:
        """Return the folded account to which the certificate belongs."""
        with store_errors("look for the account of a certificate"):
            row = self._connection.execute(
                "SELECT account FROM account_certificates WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        return None if row is None else str(row[0])

    def delete_account(self, account: str) -> None:
        """Take all certificates from the account."""
        with store_errors(f"remove the certificates of {account}"):
            self._connection.execute(
                "DELETE FROM account_certificates WHERE account = ?", (account,)
            )
