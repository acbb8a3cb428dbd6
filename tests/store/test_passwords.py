import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.errors import StoreError
from securechat.store import passwords
from securechat.store.passwords import (
    DEFAULT,
    Argon2Parameters,
    hash_password,
    needs_upgrade,
    verify_password,
)

FAST = Argon2Parameters(memory_kib=8, iterations=1, lanes=1)

# Of "password", from the tests of the reference implementation (phc-winner-argon2, src/test.c).
REFERENCE = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"


def test_a_hash_is_a_phc_string_with_its_parameters():
    phc = hash_password("correct horse", FAST)
    assert phc.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert "horse" not in phc


def test_only_the_password_itself_verifies():
    phc = hash_password("correct horse", FAST)
    assert verify_password("correct horse", phc)
    assert not verify_password("correct horse ", phc)
    assert not verify_password("Correct horse", phc)
    assert not verify_password("", phc)


def test_a_hash_of_another_implementation_verifies():
    assert verify_password("password", REFERENCE)
    assert not verify_password("passwore", REFERENCE)
    assert not needs_upgrade(REFERENCE, Argon2Parameters(256, 2, 1))


def test_two_hashes_of_a_password_differ_by_their_salts():
    assert hash_password("correct horse", FAST) != hash_password("correct horse", FAST)


def test_the_default_costs_owasps_minimum():
    phc = hash_password("correct horse")
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password("correct horse", phc)
    assert not needs_upgrade(phc)


@pytest.mark.parametrize(
    "other",
    [
        Argon2Parameters(16, 1, 1),
        Argon2Parameters(8, 2, 1),
        Argon2Parameters(16, 1, 2),
        DEFAULT,
    ],
)
def test_a_hash_of_other_parameters_still_verifies_and_wants_an_upgrade(other):
    phc = hash_password("correct horse", other)
    assert verify_password("correct horse", phc)
    assert needs_upgrade(phc, FAST)
    assert not needs_upgrade(phc, other)


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_text_verifies_against_its_hash_and_no_other_does(text):
    phc = hash_password(text, FAST)
    assert verify_password(text, phc)
    assert not verify_password(text + "x", phc)


def test_the_password_is_taken_as_it_is_given():
    """Preparation is the caller's: here two spellings are two passwords."""
    phc = hash_password("caf\u00e9", FAST)
    assert not verify_password("cafe\u0301", phc)


DAMAGED = [
    "",
    "secret",
    "$argon2i$v=19$m=8,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA",
    "$argon2id$v=16$m=8,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA",
    "$argon2id$v=19$m=x,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA",
    "$argon2id$v=19$m=8,t=0,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA",
    "$argon2id$v=19$m=8,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$",
    "$argon2id$v=19$m=8,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA\n",
]


@pytest.mark.parametrize("phc", DAMAGED)
def test_a_damaged_hash_is_an_error_not_a_wrong_password(phc):
    with pytest.raises(StoreError, match="damaged"):
        verify_password("secret", phc)
    with pytest.raises(StoreError, match="damaged"):
        needs_upgrade(phc, FAST)


@pytest.mark.parametrize(
    "phc",
    [
        "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",  # too short a salt
        "$argon2id$v=19$m=99999999999,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA",
    ],
)
def test_an_unusable_hash_never_verifies_nor_leaks_a_foreign_error(phc):
    with contextlib.suppress(StoreError):
        assert not verify_password("secret", phc)


class NoMemory:
    def __init__(self, **kwargs: object) -> None:
        pass

    def derive_phc_encoded(self, key_material: bytes) -> str:
        raise MemoryError("not enough")

    @classmethod
    def verify_phc_encoded(cls, key_material: bytes, phc_encoded: str) -> None:
        raise MemoryError("not enough")


def test_a_lack_of_memory_is_a_store_error(monkeypatch):
    phc = hash_password("secret", FAST)
    monkeypatch.setattr(passwords, "Argon2id", NoMemory)
    with pytest.raises(StoreError, match="not enough"):
        hash_password("secret", FAST)
    with pytest.raises(StoreError, match="not enough"):
        verify_password("secret", phc)


@pytest.mark.parametrize("numbers", [(7, 1, 1), (8, 0, 1), (8, 1, 0), (15, 1, 2)])
def test_impossible_parameters_are_refused(numbers):
    with pytest.raises(ValueError, match="Argon2id needs"):
        Argon2Parameters(*numbers)
