"""Devices by which people can be reached as peers: what is known of each account's.

A fingerprint is the SHA-256 of a certificate in lower-case hex. Times are milliseconds since 1970,
UTC. Accounts come folded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["PeerDevice", "PeerDevices"]


@dataclass(frozen=True, slots=True)
class PeerDevice:
    """A device of an account: its certificate (DER), and when it was seen. Immutable."""

    fingerprint: str
    certificate: bytes
    first_ms: int
    last_ms: int


class PeerDevices:
    """The table of devices, by account and fingerprint. Owned by the connection's thread.

    The same device may be of several accounts. Neither begins nor commits. Every method raises
    ``StoreError`` if the database cannot be read or written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, account: str, fingerprint: str, certificate: bytes, at_ms: int) -> None:
        """Add a device that is seen now; of one that is known, that is all that changes."""
        with store_errors(f"add a device to {account}"):
            self._connection.execute(
                "INSERT INTO peer_devices (account, fingerprint, certificate, first_ms, last_ms)"
                " VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (account, fingerprint) DO UPDATE SET last_ms = excluded.last_ms",
                (account, fingerprint, certificate, at_ms, at_ms),
            )

    def seen(self, account: str, fingerprint: str, at_ms: int) -> None:
        """Take note that a device was there until now; does nothing if it is not known."""
        with store_errors(f"update a device of {account}"):
            self._connection.execute(
                "UPDATE peer_devices SET last_ms = ? WHERE account = ? AND fingerprint = ?",
                (at_ms, account, fingerprint),
            )

    def keep_latest(self, account: str, count: int, always: Collection[str]) -> None:
        """Forget all but ``count`` devices of the account: those that were seen last.

        The devices with the fingerprints ``always`` come before all others.
        """
        latest = sorted(
            self.list(account),
            key=lambda device: (device.fingerprint in always, device.last_ms, device.first_ms),
            reverse=True,
        )
        with store_errors(f"forget devices of {account}"):
            self._connection.executemany(
                "DELETE FROM peer_devices WHERE account = ? AND fingerprint = ?",
                [(account, device.fingerprint) for device in latest[count:]],
            )

    def list(self, account: str) -> tuple[PeerDevice, ...]:
        """Return the account's devices in the order in which they were first seen."""
        with store_errors(f"list the devices of {account}"):
            rows = self._connection.execute(
                "SELECT fingerprint, certificate, first_ms, last_ms FROM peer_devices"
                " WHERE account = ? ORDER BY first_ms, fingerprint",
                (account,),
            ).fetchall()
        return tuple(PeerDevice(*row) for row in rows)

    def delete_account(self, account: str) -> None:
        """Forget all devices of the account."""
        with store_errors(f"forget the devices of {account}"):
            self._connection.execute("DELETE FROM peer_devices WHERE account = ?", (account,))
