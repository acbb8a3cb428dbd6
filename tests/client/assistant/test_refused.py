"""What is said of refusals, and of which field."""

from __future__ import annotations

import pytest

from securechat.client.assistant.refused import account_words, login_words, somebody_note
from securechat.client.events import Failure, LoginRejected


@pytest.mark.parametrize(
    ("code", "field_name"),
    [
        ("WEAK_PASSWORD", "password"),
        ("UNACCEPTABLE_EMAIL", "email"),
        ("TEMPORARILY_UNAVAILABLE", "account"),
    ],
)
def test_the_field_of_a_refused_registration(code: str, field_name: str) -> None:
    event = Failure("REGISTER", code, (), "Not \x1b[31mso")
    found, words = account_words(event)
    assert found == field_name
    assert words.startswith("the server says no: ")
    assert words.isprintable()


@pytest.mark.parametrize(("code", "fits"), [("904", False), ("905", True)])
def test_a_login_that_is_refused(code: str, fits: bool) -> None:
    words = login_words(LoginRejected("ann", code, "SASL authentication failed"))
    assert ("do not fit together" not in words) is fits


@pytest.mark.parametrize(("only", "says"), [(True, "ask for another invite"), (False, "go back")])
def test_a_nick_that_is_somebody_elses(only: bool, says: str) -> None:
    assert says in somebody_note("ann", only=only)
