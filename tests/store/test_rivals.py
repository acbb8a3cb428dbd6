"""Several relays that write the same at once: what one class promises holds between them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from securechat.errors import AccountExists
from securechat.store.accounts import Accounts
from securechat.store.certificates import AccountCertificates
from securechat.store.connection import Connection
from securechat.store.invites import Invites
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.read_markers import ReadMarkers
from securechat.store.secrets import RelaySecrets
from tests.store.rivals import wait_until_blocked

Work = Callable[[Connection], Any]


@pytest.fixture
def rivals(postgres_url: str) -> Iterator[tuple[PostgresConnection, PostgresConnection]]:
    url = parse_postgres_url(postgres_url)
    with closing(connect(url)) as one, closing(connect(url)) as other:
        yield one, other


@pytest.fixture
def race(rivals, in_background) -> Callable[[Work, Work], tuple[Any, Any]]:
    """Has the second begin while the first is in a transaction; returns what both have returned."""
    one, other = rivals

    def run(first: Work, second: Work, end: str = "COMMIT") -> tuple[Any, Any]:
        one.execute("BEGIN")
        found = first(one)
        waiting = in_background(lambda: second(other))
        wait_until_blocked(one)
        one.execute(end)
        return found, waiting()

    return run


def create(name: str) -> Work:
    return lambda connection: Accounts(connection).create(name, "alice", "", "", 1.0).name


def redeem(connection: Connection) -> Any:
    invite = Invites(connection).redeem("x", 1.0, "alice", str.lower)
    return None if invite is None else invite.uses_left


def invite(connection: Connection, uses: int) -> None:
    Invites(connection).create("x", uses=uses, expires_at=9.0, created_at=0.0)


def test_of_two_accounts_of_one_name_there_is_the_first(rivals, race):
    with pytest.raises(AccountExists):
        race(create("Alice"), create("ALICE"))
    assert Accounts(rivals[1]).names() == [("alice", "Alice")]


def test_an_account_that_is_undone_leaves_its_name_to_the_second(rivals, race):
    assert race(create("Alice"), create("ALICE"), "ROLLBACK") == ("Alice", "ALICE")
    assert Accounts(rivals[1]).names() == [("alice", "ALICE")]


def test_an_account_that_two_make_of_one_certificate_is_one(rivals, race):
    def adopt(name: str) -> Work:
        return lambda c: Accounts(c).get_or_create(name, "alice", "", "", 1.0).name

    assert race(adopt("Alice"), adopt("ALICE")) == ("Alice", "Alice")
    assert adopt("alice")(rivals[1]) == "Alice"


@pytest.mark.parametrize(("uses", "found"), [(1, (1, None)), (2, (2, 1)), (3, (3, 2))])
def test_each_use_of_an_invite_is_one_of_them(rivals, race, uses, found):
    invite(rivals[0], uses)
    assert race(redeem, redeem) == found
    assert Invites(rivals[0]).load()[0].uses_left == max(uses - 2, 0)


def test_a_use_that_is_undone_is_left_to_the_second(rivals, race):
    invite(rivals[0], 1)
    assert race(redeem, redeem, "ROLLBACK") == (1, 1)


def test_all_relays_have_the_same_secret(race):
    def secret(value: bytes) -> Work:
        return lambda connection: RelaySecrets(connection).get_or_create("cloak", lambda: value)

    assert race(secret(b"one"), secret(b"other")) == (b"one", b"one")


@pytest.mark.parametrize(("first", "second"), [(5, 9), (9, 5)])
def test_a_read_marker_is_where_the_furthest_is(rivals, race, first, second):
    def read(at_ms: int) -> Work:
        return lambda connection: ReadMarkers(connection).set("alice", "#x", at_ms)

    assert race(read(first), read(second)) == (first, 9)
    assert ReadMarkers(rivals[0]).get("alice", "#x") == 9


def test_a_read_marker_that_is_set_as_its_room_is_renamed_is_no_error(rivals, race):
    ReadMarkers(rivals[0]).set("alice", "#old", 5)
    race(
        lambda connection: ReadMarkers(connection).set("alice", "#new", 9),
        lambda connection: ReadMarkers(connection).move("#old", "#new"),
    )
    assert ReadMarkers(rivals[0]).load() == {"alice": {"#new": 5}}


def test_a_certificate_that_two_accounts_add_is_of_the_first(rivals, race):
    def add(account: str) -> Work:
        return lambda connection: AccountCertificates(connection).add(account, "f" * 64, "", 1)

    assert race(add("alice"), add("bob")) == (True, False)
    assert AccountCertificates(rivals[0]).find("f" * 64) == "alice"
