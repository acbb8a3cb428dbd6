"""All that the relay keeps of an account, over all its tables: shown, written out, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from securechat.server.metadata_keeper import account_subject
from securechat.server.names import Fold
from securechat.server.rules.presence import ALWAYS_ON
from securechat.server.state import AlwaysOn
from securechat.store.account_history import OwnEntry, delete_direct, own_entries
from securechat.store.accounts import Account, Accounts
from securechat.store.certificates import AccountCertificates
from securechat.store.connection import Connection
from securechat.store.database import store_errors
from securechat.store.devices import PeerDevices
from securechat.store.metadata import Metadata
from securechat.store.read_markers import ReadMarkers
from securechat.store.rooms import Rooms
from securechat.store.settings import AccountSettings

__all__ = ["account_summaries", "export_account", "forget_account"]


def account_summaries(
    connection: Connection, fold: Fold, always_on: AlwaysOn
) -> list[dict[str, Any]]:
    """Return what is to be shown of each account, in the order of their names.

    :param always_on: which accounts are that have not said so.
    """
    settings = AccountSettings(connection).load()
    certificates = AccountCertificates(connection)
    found = []
    for account in Accounts(connection).load():
        key = fold(account.name)
        wish = settings.get(key, {}).get(ALWAYS_ON, "")
        found.append(
            {
                "name": account.name,
                "created_at": account.created_at,
                "last_login_at": account.last_login_at,
                "suspended": account.suspended,
                "always_on": _stays(always_on, wish),
                "certificates": len(certificates.list(key)),
            }
        )
    return found


def _stays(always_on: AlwaysOn, wish: str) -> bool:
    if always_on == "opt-in":
        return wish == "on"
    return always_on == "opt-out" and wish != "off"


def forget_account(connection: Connection, key: str) -> list[str]:
    """Delete the account (folded) and all that is its own; return the names of its rooms.

    What it said in rooms stays: see ``account_history.disown``. Its direct conversations are gone
    at once, their rows when the history is expired.
    """
    Accounts(connection).delete(key)
    AccountSettings(connection).delete_account(key)
    AccountCertificates(connection).delete_account(key)
    ReadMarkers(connection).delete_account(key)
    Metadata(connection).clear(account_subject(key))
    PeerDevices(connection).delete_account(key)
    delete_direct(connection, key)
    return Rooms(connection).delete_account(key)


def export_account(
    connection: Connection,
    key: str,
    account: Account,
    rooms: Mapping[str, str],
    output: IO[bytes],
) -> int:
    """Write all that is kept of an account (folded: ``key``) as JSON; return how many messages.

    No secret is among it. The messages are not in memory at once.

    :param rooms: names of rooms by their uid, beside those that the store knows.
    :raises StoreError: it cannot be read, or not be written.
    """
    kept = {saved.record.uid: saved.record.name for saved in Rooms(connection).load()}
    names = {**kept, **rooms}
    head = json.dumps(_describe(connection, key, account), indent=2, ensure_ascii=False)
    count = 0
    with store_errors("write the file"):
        output.write(head.removesuffix("\n}").encode() + b',\n  "messages": [')
        for entry in own_entries(connection, key, account.name):
            line = json.dumps(_message(entry, names), ensure_ascii=False)
            output.write(("," * bool(count) + "\n    " + line).encode())
            count += 1
        output.write(b"\n  ]\n}\n")
        output.flush()
    return count


def _describe(connection: Connection, key: str, account: Account) -> dict[str, Any]:
    """Return what is kept of an account, but for its messages."""
    return {
        "account": {
            "name": account.name,
            "created": _iso(account.created_at),
            "last_login": None if account.last_login_at is None else _iso(account.last_login_at),
            "suspended": account.suspended,
            "has_password": account.password_hash != "",
        },
        "settings": AccountSettings(connection).get_all(key),
        "certificates": [
            {"sha256": each.fingerprint, "label": each.label, "added": _iso(each.added_ms / 1000)}
            for each in AccountCertificates(connection).list(key)
        ],
        "rooms": list(_rooms(connection, key)),
        "read_markers": {
            target: _iso(at_ms / 1000)
            for target, at_ms in ReadMarkers(connection).load().get(key, {}).items()
        },
        "metadata": Metadata(connection).load().get(account_subject(key), {}),
        "devices": [
            {
                "sha256": each.fingerprint,
                "first_seen": _iso(each.first_ms / 1000),
                "last_seen": _iso(each.last_ms / 1000),
            }
            for each in PeerDevices(connection).list(key)
        ],
    }


def _rooms(connection: Connection, key: str) -> Iterator[dict[str, Any]]:
    for saved in Rooms(connection).load():
        for person in saved.people:
            if person.account == key:
                yield {
                    "name": saved.record.name,
                    "owner": saved.record.owner == key,
                    "ranks": person.ranks,
                    "member_since": _iso(person.since_ms / 1000) if person.since_ms else None,
                }


def _message(entry: OwnEntry, rooms: Mapping[str, str]) -> dict[str, Any]:
    place = (
        {"with": entry.party}
        if entry.party
        else {"room": rooms.get(entry.conversation, entry.conversation)}
    )
    return {
        "at": _iso(entry.at_ms / 1000),
        **place,
        "kind": entry.kind,
        "source": entry.source,
        "account": entry.account,
        "detail": entry.detail,
        "text": entry.text,
        "tags": entry.tags,
        "redacted": entry.redacted,
    }


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
