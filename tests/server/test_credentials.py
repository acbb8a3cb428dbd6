"""Which passwords will do, and what is kept of them."""

from __future__ import annotations

import pytest

from securechat.errors import LocalProtocolError
from securechat.irc.sasl import ScramVerifier
from securechat.server.credentials import WeakPassword, make_credentials, new_password
from securechat.store.passwords import Argon2Parameters, verify_password

CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("correct horse", "correct horse"),
        ("e\u0301 is enough", "\xe9 is enough"),
        ("\xe9" * 8,) * 2,
    ],
)
def test_a_password_that_will_do(given: str, prepared: str) -> None:
    assert new_password(given, "alice", 8) == prepared


@pytest.mark.parametrize("given", ["1234567", "e\u0301123456", "AliceAlice"])
def test_a_weak_password(given: str) -> None:
    text = "Choose a password of at least 8 characters, and not your nick"
    with pytest.raises(WeakPassword, match=text):
        new_password(given, "alicealice", 8)


@pytest.mark.parametrize("given", ["", "tab\tin it", "\udcff" * 8])
def test_what_is_no_password(given: str) -> None:
    with pytest.raises(LocalProtocolError):
        new_password(given, "alice", 8)


def test_what_is_kept_of_a_password_is_of_no_other_and_never_the_same() -> None:
    hashed, scram = make_credentials("correct horse", CHEAP)
    assert verify_password("correct horse", hashed)
    verifier = ScramVerifier.from_text(scram)
    assert verifier == ScramVerifier.derive("correct horse", salt=verifier.salt)
    again = make_credentials("correct horse", CHEAP)
    assert hashed != again[0]
    assert scram != again[1]
