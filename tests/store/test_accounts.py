from dataclasses import replace

import pytest

from securechat.errors import AccountExists, StoreError
from securechat.store.accounts import Account, Accounts
from securechat.store.connection import Connection


@pytest.fixture
def accounts(connection: Connection) -> Accounts:
    return Accounts(connection)


def test_what_was_created_is_found_by_its_folded_name(accounts):
    created = accounts.create("Alice[]", "alice{}", "phc", "scram", 1700000000.25)
    assert created == Account("Alice[]", "phc", "scram", 1700000000.25, None)
    assert accounts.get("alice{}") == created
    assert accounts.get("Alice[]") is None
    assert accounts.get("bob") is None


def test_a_taken_folded_name_is_refused_and_the_first_account_stays(accounts):
    first = accounts.create("Alice", "alice", "phc", "scram", 1.0)
    with pytest.raises(AccountExists, match="ALICE"):
        accounts.create("ALICE", "alice", "other", "other", 2.0)
    assert accounts.get("alice") == first


def test_new_credentials_replace_the_old(accounts):
    created = accounts.create("Alice", "alice", "phc", "scram", 1.0)
    other = accounts.create("Bob", "bob", "phc", "scram", 1.0)
    accounts.set_credentials("alice", "phc 2", "scram 2")
    assert accounts.get("alice") == replace(created, password_hash="phc 2", scram="scram 2")
    assert accounts.get("bob") == other


def test_an_upgrade_replaces_the_hash_that_was_verified(accounts):
    created = accounts.create("Alice", "alice", "cheap", "scram", 1.0)
    assert accounts.upgrade_credentials("alice", "cheap", "dear", "scram 2")
    assert accounts.get("alice") == replace(created, password_hash="dear", scram="scram 2")


def test_an_upgrade_does_not_bring_back_a_password_changed_meanwhile(accounts):
    accounts.create("Alice", "alice", "cheap", "scram", 1.0)
    accounts.set_credentials("alice", "of the new password", "scram 2")
    changed = accounts.get("alice")
    assert not accounts.upgrade_credentials("alice", "cheap", "dear", "scram 3")
    assert accounts.get("alice") == changed
    assert not accounts.upgrade_credentials("nobody", "cheap", "dear", "scram 3")


def test_the_last_login_is_noted(accounts):
    created = accounts.create("Alice", "alice", "phc", "scram", 1.0)
    assert created.last_login_at is None
    accounts.touch_login("alice", 1700000000.75)
    assert accounts.get("alice") == replace(created, last_login_at=1700000000.75)


def test_an_account_is_suspended_until_it_is_not(accounts):
    created = accounts.create("Alice", "alice", "phc", "scram", 1.0)
    accounts.create("Bob", "bob", "phc", "scram", 1.0)
    assert created.suspended is None
    assert accounts.suspended() == {}
    for reason in ("spam", ""):
        accounts.suspend("alice", reason)
        assert accounts.get("alice") == replace(created, suspended=reason)
        assert accounts.suspended() == {"alice": reason}
    accounts.suspend("alice", None)
    assert accounts.get("alice") == created


def test_what_is_deleted_may_be_created_anew(accounts):
    accounts.create("Alice", "alice", "phc", "scram", 1.0)
    bob = accounts.create("Bob", "bob", "phc", "scram", 1.0)
    accounts.suspend("alice", "spam")
    accounts.delete("alice")
    accounts.delete("nobody")
    assert accounts.load() == [bob]
    again = accounts.create("ALICE", "alice", "other", "other", 2.0)
    assert accounts.load() == [again, bob]


def test_there_is_nothing_to_change_in_no_account(accounts):
    with pytest.raises(StoreError, match="no account nobody"):
        accounts.set_credentials("nobody", "phc", "scram")
    with pytest.raises(StoreError, match="no account nobody"):
        accounts.touch_login("nobody", 1.0)
    with pytest.raises(StoreError, match="no account nobody"):
        accounts.suspend("nobody", "")


def test_names_come_in_the_order_of_the_folded_ones(accounts):
    assert accounts.names() == []
    for name in ("Zoe", "alice", "Bob"):
        accounts.create(name, name.lower(), "phc", "scram", 1.0)
    assert accounts.names() == [("alice", "alice"), ("bob", "Bob"), ("zoe", "Zoe")]


def test_names_are_text_and_nothing_else(accounts):
    name = "x'; DROP TABLE accounts; --"
    accounts.create(name, name, "phc", "scram", 1.0)
    assert accounts.names() == [(name, name)]


def test_the_transaction_is_the_callers(connection, accounts):
    connection.execute("BEGIN")
    accounts.create("Alice", "alice", "phc", "scram", 1.0)
    accounts.touch_login("alice", 2.0)
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert accounts.names() == []


def test_no_secret_shows_in_a_repr(accounts):
    shown = repr(accounts.create("Alice", "alice", "hidden 1", "hidden 2", 1.0))
    assert "Alice" in shown
    assert "hidden" not in shown


def test_an_error_of_the_database_is_a_store_error(connection, accounts):
    connection.execute("DROP TABLE accounts")
    for use in (
        lambda: accounts.create("Alice", "alice", "phc", "scram", 1.0),
        lambda: accounts.get("alice"),
        lambda: accounts.set_credentials("alice", "phc", "scram"),
        lambda: accounts.upgrade_credentials("alice", "phc", "phc 2", "scram"),
        lambda: accounts.touch_login("alice", 1.0),
        lambda: accounts.suspend("alice", None),
        lambda: accounts.delete("alice"),
        accounts.names,
        accounts.load,
        accounts.suspended,
    ):
        with pytest.raises(StoreError, match=r"no such table|does not exist"):
            use()


def test_a_missing_value_is_an_error_but_not_an_existing_account(accounts):
    with pytest.raises(StoreError, match=r"(?i)not.null") as caught:
        accounts.create("Alice", "alice", None, "scram", 1.0)
    assert not isinstance(caught.value, AccountExists)
