"""Whom we know as a peer: devices pinned on first use, and what the user has decided.

It is one SQLite file beside the device's own key, shared by all clients of this user. A contact is
an account of a network: ``network`` is the text by which the caller knows a relay (host and port),
``account`` comes folded.

How far a device of a contact is known (``safety_of``), by the first row that fits:

========  =========================================  ===============================================
safety    when                                       then
========  =========================================  ===============================================
VERIFIED  this device is verified                    the two have compared their safety code
BLOCKED   another is verified, this one neither      nothing is sent to it until the user accepts it
          verified nor accepted
KNOWN     this device is pinned                      it is the one that was met before
NEW       no device is pinned                        pin it: trust on first use
CHANGED   others are pinned                          warn clearly, then pin it
========  =========================================  ===============================================

To verify one device raises the bar for all: those that were pinned before, on the relay's word, are
blocked then as well.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from securechat.errors import NewerSchemaError, StoreError, gettext_noop
from securechat.irc.peering import fingerprint_of

__all__ = [
    "BUSY_TIMEOUT_MS",
    "DEVICES_PER_CONTACT",
    "FILE_NAME",
    "Contact",
    "KnownDevice",
    "KnownPeers",
    "Policy",
    "Safety",
    "safety_of",
]

FILE_NAME: Final = "peers.db"
"""What the file is called, in the folder of this user's device."""

DEVICES_PER_CONTACT: Final = 16
"""Most devices pinned of one contact: more than a person uses, and a relay that invents one after
the other does not fill the disk. The one not seen for the longest time makes room for a new one,
unless the user has verified or accepted it."""

BUSY_TIMEOUT_MS: Final = 5_000
"""How long to wait for another client that writes. That takes it milliseconds; after seconds,
failing tells more than waiting."""

_APPLICATION_ID: Final = 0x53437072
"""``SCpr`` in the header of the file: some other program's database is noticed by it."""

_MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        """
        CREATE TABLE contacts (
            id INTEGER PRIMARY KEY,
            network TEXT NOT NULL,
            account TEXT NOT NULL,
            policy TEXT NOT NULL DEFAULT 'ask',
            show_addresses INTEGER NOT NULL DEFAULT 0,
            take_files INTEGER NOT NULL DEFAULT 0,
            UNIQUE (network, account)
        )
        """,
        """
        CREATE TABLE devices (
            contact INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
            fingerprint TEXT NOT NULL,
            certificate BLOB NOT NULL,
            first_seen_ms INTEGER NOT NULL,
            last_seen_ms INTEGER NOT NULL,
            verified INTEGER NOT NULL DEFAULT 0,
            accepted INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (contact, fingerprint)
        )
        """,
    ),
)
"""Append-only: a file of version n (``PRAGMA user_version``) has had the first n. Never edit those
that were released. Only what SQLite 3.34 knows (RHEL 9 ships that)."""


class Policy(enum.StrEnum):
    """What becomes of a contact's wish for a session."""

    ASK = "ask"
    ALWAYS = "always"
    NEVER = "never"


class Safety(enum.StrEnum):
    """How far a device of a contact is known; see the table above."""

    NEW = "new"
    KNOWN = "known"
    VERIFIED = "verified"
    CHANGED = "changed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A pinned device as it was when it was read. Immutable.

    The certificate is in DER, times are in milliseconds since 1970 UTC. ``verified``: the two have
    compared their safety code. ``accepted``: the user takes it although another was verified.
    """

    fingerprint: str
    certificate: bytes
    first_seen_ms: int
    last_seen_ms: int
    verified: bool = False
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known of an account, and what the user wants with it. Immutable.

    ``show_addresses``: it may learn ours. ``take_files``: its files are taken without a question.
    ``devices``: the one seen last comes first.
    """

    network: str
    account: str
    policy: Policy = Policy.ASK
    show_addresses: bool = False
    take_files: bool = False
    devices: tuple[KnownDevice, ...] = ()


def safety_of(contact: Contact, fingerprint: str) -> Safety:
    """Return how far that device of the contact is known, by the table above."""
    device = next((one for one in contact.devices if one.fingerprint == fingerprint), None)
    if device is not None and device.verified:
        return Safety.VERIFIED
    if any(one.verified for one in contact.devices) and not (device and device.accepted):
        return Safety.BLOCKED
    if device is not None:
        return Safety.KNOWN
    return Safety.CHANGED if contact.devices else Safety.NEW


class KnownPeers:
    """The file of known peers. Owned by the thread that made it.

    The file is made readable by its owner only (0600), its folder (0700) if missing. Several
    processes may have it open. What a method has changed is on the disk when it returns. It blocks
    for file I/O, and for up to ``BUSY_TIMEOUT_MS`` while another process writes. Every method
    raises ``StoreError`` if the file cannot be read or written.

    :raises NewerSchemaError: a newer version wrote it.
    :raises StoreError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        with _errors(gettext_noop("cannot open {path}: {error}"), path=path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            timeout_s = BUSY_TIMEOUT_MS / 1_000
            self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
            try:
                self._set_up(path)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file; harmless if it is closed already."""
        self._connection.close()

    # ---- what is known ----

    def contact(self, network: str, account: str) -> Contact:
        """Return what is known of the account; of one never met, a contact without devices."""
        with _errors(gettext_noop("cannot look up {account}: {error}"), account=account):
            found = self._read("network = ? AND account = ?", network, account)
        return found[0] if found else Contact(network, account)

    def contacts(self, network: str) -> list[Contact]:
        """Return all of whom something is known on the network, by account."""
        with _errors(gettext_noop("cannot list the peers on {network}: {error}"), network=network):
            return self._read("network = ?", network)

    # ---- what the user decides ----

    def set_policy(self, network: str, account: str, policy: Policy) -> None:
        """Decide what becomes of the contact's wish for a session."""
        self._set(network, account, "policy", policy.value)

    def set_show_addresses(self, network: str, account: str, show: bool) -> None:
        """Decide whether the contact may learn our addresses."""
        self._set(network, account, "show_addresses", show)

    def set_take_files(self, network: str, account: str, take: bool) -> None:
        """Decide whether the contact's files are taken without a question."""
        self._set(network, account, "take_files", take)

    def verify(self, network: str, account: str, fingerprint: str, verified: bool) -> None:
        """Note that the safety code with this device was compared, or (``False``) is in doubt.

        :raises StoreError: the device is not pinned.
        """
        with self._writing(
            gettext_noop("cannot verify a device of {account}: {error}"), account=account
        ):
            found = self._connection.execute(
                "UPDATE devices SET verified = ? WHERE fingerprint = ? AND contact ="
                " (SELECT id FROM contacts WHERE network = ? AND account = ?)",
                (verified, fingerprint, network, account),
            )
            if not found.rowcount:
                raise StoreError(
                    "{account} is not known to have the device {fingerprint}",
                    account=account,
                    fingerprint=fingerprint,
                )

    def accept(self, network: str, account: str, certificate: bytes, now_ms: int) -> None:
        """Pin the device, if need be, and take it although another was verified.

        :raises StoreError: the contact has as many verified or accepted devices as it may have.
        """
        self._pin(network, account, certificate, now_ms, accepted=True)

    def forget(self, network: str, account: str, fingerprint: str | None) -> None:
        """Forget the device; for ``None``, the whole contact with all that was decided about it."""
        key = (network, account)
        with self._writing(gettext_noop("cannot forget {account}: {error}"), account=account):
            if fingerprint is None:
                self._connection.execute(
                    "DELETE FROM contacts WHERE network = ? AND account = ?", key
                )
            else:
                self._connection.execute(
                    "DELETE FROM devices WHERE fingerprint = ? AND contact ="
                    " (SELECT id FROM contacts WHERE network = ? AND account = ?)",
                    (fingerprint, *key),
                )

    # ---- what was met ----

    def see(self, network: str, account: str, certificate: bytes, now_ms: int) -> None:
        """Pin the device, or note that it was met again. Ask for its safety first: this changes it.

        :raises StoreError: the contact has as many verified or accepted devices as it may have.
        """
        self._pin(network, account, certificate, now_ms, accepted=False)

    # ---- the file ----

    def _set_up(self, path: Path) -> None:
        run = self._connection.execute
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
        run("BEGIN")  # one look: another process may be making the file just now
        try:
            version = self._check_schema(path)
        finally:
            run("ROLLBACK")
        if version == len(_MIGRATIONS):
            return
        with self._writing(gettext_noop("cannot upgrade {path}: {error}"), path=path):
            # Another process may have been faster.
            for migration in _MIGRATIONS[self._check_schema(path) :]:
                for statement in migration:
                    run(statement)
            run(f"PRAGMA application_id = {_APPLICATION_ID}")
            run(f"PRAGMA user_version = {len(_MIGRATIONS)}")

    def _check_schema(self, path: Path) -> int:
        """Return the version of the schema; refuse a file that is not for us."""
        version, application, tables = (
            self._connection.execute(question).fetchone()[0]
            for question in (
                "PRAGMA user_version",
                "PRAGMA application_id",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if tables and application != _APPLICATION_ID:
            raise StoreError("{path} is a database of some other program", path=path)
        if version > len(_MIGRATIONS):
            raise NewerSchemaError(
                "{path} has schema version {version}, but this securechat knows only versions up "
                "to {newest}: start the newer securechat that wrote it",
                path=path,
                version=version,
                newest=len(_MIGRATIONS),
            )
        return int(version)

    @contextlib.contextmanager
    def _writing(self, failure: str, **values: object) -> Iterator[None]:
        """Run a transaction: all of it is done, or nothing."""
        with _errors(failure, **values):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _read(self, condition: str, *values: str) -> list[Contact]:
        # One statement, so that it sees one state of the file.
        rows = self._connection.execute(
            "SELECT network, account, policy, show_addresses, take_files, fingerprint, certificate,"
            " first_seen_ms, last_seen_ms, verified, accepted"
            f" FROM contacts LEFT JOIN devices ON devices.contact = contacts.id WHERE {condition}"
            " ORDER BY account, last_seen_ms DESC, fingerprint",
            values,
        )
        return [_contact(head, group) for head, group in groupby(rows, lambda row: row[:5])]

    def _set(self, network: str, account: str, column: str, value: str | bool) -> None:
        with self._writing(
            gettext_noop("cannot change what is set for {account}: {error}"), account=account
        ):
            number = self._contact_number(network, account)
            self._connection.execute(
                f"UPDATE contacts SET {column} = ? WHERE id = ?", (value, number)
            )

    def _contact_number(self, network: str, account: str) -> int:
        key = (network, account)
        self._connection.execute(
            "INSERT INTO contacts (network, account) VALUES (?, ?) ON CONFLICT DO NOTHING", key
        )
        (number,) = self._connection.execute(
            "SELECT id FROM contacts WHERE network = ? AND account = ?", key
        ).fetchone()
        return int(number)

    def _pin(
        self, network: str, account: str, certificate: bytes, now_ms: int, *, accepted: bool
    ) -> None:
        with self._writing(
            gettext_noop("cannot pin a device of {account}: {error}"), account=account
        ):
            number = self._contact_number(network, account)
            self._connection.execute(
                "INSERT INTO devices"
                " (contact, fingerprint, certificate, first_seen_ms, last_seen_ms, accepted)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (contact, fingerprint) DO UPDATE"
                " SET last_seen_ms = max(last_seen_ms, excluded.last_seen_ms),"
                " accepted = max(accepted, excluded.accepted)",
                (number, fingerprint_of(certificate), certificate, now_ms, now_ms, accepted),
            )
            self._make_room(number, account, fingerprint_of(certificate))

    def _make_room(self, number: int, account: str, newest: str) -> None:
        """Keep to the limit, without the device that was just pinned being the one to go."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM devices WHERE contact = ?", (number,)
        ).fetchone()
        if count <= DEVICES_PER_CONTACT:
            return
        gone = self._connection.execute(
            "DELETE FROM devices WHERE contact = :contact AND fingerprint ="
            " (SELECT fingerprint FROM devices WHERE contact = :contact"
            " AND NOT verified AND NOT accepted AND fingerprint <> :newest"
            " ORDER BY last_seen_ms, fingerprint LIMIT 1)",
            {"contact": number, "newest": newest},
        )
        if not gone.rowcount:
            raise StoreError(
                "{account} has {count} devices that you have verified or accepted: "
                "forget one that is no longer in use",
                account=account,
                count=DEVICES_PER_CONTACT,
            )


def _contact(head: tuple[Any, ...], rows: Iterator[tuple[Any, ...]]) -> Contact:
    network, account, policy, show_addresses, take_files = head
    devices = tuple(
        KnownDevice(row[5], row[6], row[7], row[8], bool(row[9]), bool(row[10]))
        for row in rows
        if row[5] is not None  # a contact without devices has one row
    )
    return Contact(
        network, account, Policy(policy), bool(show_addresses), bool(take_files), devices
    )


@contextlib.contextmanager
def _errors(failure: str, **values: object) -> Iterator[None]:
    """Turn what SQLite or the file system raises inside into a ``StoreError`` that says it."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(failure, error=error, **values) from error
