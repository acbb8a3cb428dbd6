"""The table of bans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechat.errors import StoreError
from securechat.store.bans import BanRecord, Bans
from securechat.store.connection import Connection

MASK = BanRecord("K", "spam!*@*", "Spam!*@*", "no spam", "root", 2_000, None)
NETWORK = BanRecord("D", "192.0.2.0/24", "192.0.2.0/24", "x", "root", 1_000, 5_000)


@pytest.fixture
def bans(connection: Connection) -> Bans:
    return Bans(connection)


def test_bans_are_kept_by_kind_and_mask(bans: Bans) -> None:
    for ban in (MASK, NETWORK, replace(MASK, kind="D", set_ms=3_000)):
        bans.save(ban)
    assert bans.load() == [NETWORK, MASK, replace(MASK, kind="D", set_ms=3_000)]
    changed = replace(MASK, mask="SPAM!*@*", reason="y", set_by="x", set_ms=4_000, expires_ms=9)
    bans.save(changed)
    assert bans.load()[-1] == changed
    assert len(bans.load()) == 3


def test_bans_are_deleted(bans: Bans) -> None:
    bans.save(MASK)
    bans.save(NETWORK)
    assert not bans.delete("D", MASK.folded_mask)
    assert bans.delete("K", MASK.folded_mask)
    assert not bans.delete("K", MASK.folded_mask)
    assert bans.load() == [NETWORK]


def test_those_that_have_ended_are_deleted(bans: Bans) -> None:
    bans.save(MASK)
    bans.save(NETWORK)
    bans.delete_expired(4_999)
    assert bans.load() == [NETWORK, MASK]
    bans.delete_expired(5_000)
    assert bans.load() == [MASK]


def test_an_error_of_the_database_is_a_store_error(connection: Connection, bans: Bans) -> None:
    connection.execute("DROP TABLE bans")
    with pytest.raises(StoreError, match="cannot save a ban"):
        bans.save(MASK)
    with pytest.raises(StoreError, match="cannot delete a ban"):
        bans.delete("K", "x")
    with pytest.raises(StoreError, match="cannot delete bans that have ended"):
        bans.delete_expired(0)
    with pytest.raises(StoreError, match="cannot load the bans"):
        bans.load()
