from dataclasses import replace

import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.invites import EXPIRED_KEPT_S, ID_DIGITS, Invite, Invites

NOW = 1_700_000_000.0


def redeem(invites: Invites, token: str, now: float = NOW, account: str = "alice") -> bool:
    return invites.redeem(token, now, account, str.lower) is not None


@pytest.fixture
def invites(connection: Connection) -> Invites:
    return Invites(connection)


def test_a_token_is_redeemed_as_often_as_it_says(invites):
    invites.create("come in", uses=2, expires_at=NOW + 10, created_at=NOW)
    assert [redeem(invites, "come in") for _ in range(4)] == [True, True, False, False]


def test_a_token_expires_at_its_time(invites):
    invites.create("come in", uses=9, expires_at=NOW + 10, created_at=NOW)
    assert redeem(invites, "come in", NOW + 9.5)
    assert not redeem(invites, "come in", NOW + 10)
    assert not redeem(invites, "come in", NOW + 11)


@pytest.mark.parametrize("token", ["", "Come in", "come in ", "come", "%", "*"])
def test_another_token_opens_nothing_and_uses_nothing(invites, token):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    assert not redeem(invites, token)
    assert redeem(invites, "come in")


def test_tokens_are_used_up_one_by_one(invites):
    for token in ("first", "second"):
        invites.create(token, uses=1, expires_at=NOW + 10, created_at=NOW)
    assert redeem(invites, "first")
    assert not redeem(invites, "first")
    assert redeem(invites, "second")


def test_an_invite_for_one_account_opens_no_other(invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW, account="Alice")
    assert not redeem(invites, "come in", account="bob")
    assert redeem(invites, "come in", account="aLICE")


def test_what_an_invite_opens(invites):
    made = invites.create(
        "come in", uses=2, expires_at=NOW + 10, created_at=NOW, account="Alice", room="#x"
    )
    assert made == Invite(made.id, 2, 2, NOW + 10, NOW, "Alice", "#x")
    assert invites.redeem("come in", NOW, "alice", str.lower) == made
    assert invites.redeem("come in", NOW, "alice", str.lower) == replace(made, uses_left=1)


def test_invites_are_listed_in_the_order_of_their_making(invites):
    later = invites.create("b", uses=3, expires_at=NOW + 10, created_at=NOW + 1)
    first = invites.create("a", uses=1, expires_at=NOW + 5, created_at=NOW, room="#x")
    assert redeem(invites, "b")
    assert invites.load() == [first, replace(later, uses_left=2)]
    assert len({first.id, later.id}) == 2
    assert {len(first.id), len(later.id)} == {ID_DIGITS}


@pytest.mark.parametrize(
    ("uses_left", "expires_at", "usable"),
    [(1, NOW + 1, True), (0, NOW + 1, False), (1, NOW, False)],
)
def test_an_invite_is_usable(uses_left, expires_at, usable):
    assert Invite("0" * ID_DIGITS, uses_left, 5, expires_at, NOW).usable(NOW) is usable


@pytest.mark.parametrize("digits", [ID_DIGITS, 3])
def test_an_invite_that_is_withdrawn_opens_nothing(invites, digits):
    made = invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    other = invites.create("another", uses=1, expires_at=NOW + 10, created_at=NOW)
    assert invites.withdraw(made.id[:digits].upper()) == made
    assert not redeem(invites, "come in")
    assert invites.load() == [other]


@pytest.mark.parametrize("name", ["", "zzzzzzzz", "%", "________"])
def test_what_is_no_id_withdraws_nothing(invites, name):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    with pytest.raises(StoreError, match="there is no invitation"):
        invites.withdraw(name)
    assert redeem(invites, "come in")


def test_an_id_of_several_invites_withdraws_none(invites):
    for number in range(17):  # two of them begin with the same digit
        invites.create(f"token {number}", uses=1, expires_at=NOW + 10, created_at=NOW)
    digits = [invite.id[0] for invite in invites.load()]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(StoreError, match=f"invitations whose id begins with {shared}: write more"):
        invites.withdraw(shared)
    assert len(invites.load()) == 17


def test_what_has_ended_long_ago_is_forgotten(invites):
    for token, ended_s in (("old", EXPIRED_KEPT_S + 1), ("recent", EXPIRED_KEPT_S - 1)):
        invites.create(token, uses=1, expires_at=NOW - ended_s, created_at=0)
    assert len(invites.load()) == 2
    invites.create("new", uses=1, expires_at=NOW + 10, created_at=NOW)
    assert [invite.expires_at for invite in invites.load()] == [NOW - EXPIRED_KEPT_S + 1, NOW + 10]


def test_the_token_itself_is_not_kept(connection, invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    (kept,) = connection.execute("SELECT * FROM invites").fetchall()
    assert NOW in kept
    assert b"come in" not in b"".join(value for value in kept if isinstance(value, bytes))
    assert "come in" not in map(str, kept)


def test_a_token_made_twice_is_an_error(invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    with pytest.raises(StoreError, match=r"(?i)cannot create an invitation: .*unique"):
        invites.create("come in", uses=5, expires_at=NOW + 10, created_at=NOW)
    assert [redeem(invites, "come in") for _ in range(2)] == [True, False]


def test_a_use_that_is_rolled_back_is_not_used_up(connection, invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    connection.execute("BEGIN")
    assert redeem(invites, "come in")
    connection.execute("ROLLBACK")
    assert redeem(invites, "come in")


def test_an_error_of_the_database_is_a_store_error(connection, invites):
    connection.execute("DROP TABLE invites")
    for use in (
        lambda: invites.create("come in", uses=1, expires_at=NOW, created_at=NOW),
        lambda: redeem(invites, "come in"),
        invites.load,
        lambda: invites.withdraw("00000000"),
    ):
        with pytest.raises(StoreError, match=r"no such table|does not exist"):
            use()
