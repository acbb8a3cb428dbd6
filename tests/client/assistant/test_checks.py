"""What is wrong with answers, and which of several complaints is made of one field."""

from __future__ import annotations

from typing import Any

import pytest

from securechat.client.assistant.answers import Answers
from securechat.client.assistant.checks import (
    check_command_line,
    check_login,
    check_new_account,
    check_nick,
    check_rooms,
)

GOOD = "correct horse"


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({"nick": " ann "}, {}),
        ({}, {"nick": "one word"}),
        ({"nick": "ann lee"}, {"nick": "one word"}),
        ({"nick": "a" * 600, "realname": "b" * 600}, {"nick": "long", "realname": "long"}),
    ],
)
def test_nicks(answers: dict[str, Any], wrong: dict[str, str]) -> None:
    holds(check_nick(Answers(**answers)), wrong)


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({"login": "ann", "password": GOOD}, {}),
        ({"login": "ann lee", "password": ""}, {"login": "one word", "password": "empty"}),
    ],
)
def test_logins(answers: dict[str, Any], wrong: dict[str, str]) -> None:
    holds(check_login(Answers(**answers)), wrong)


@pytest.mark.parametrize(
    ("answers", "wants_code", "wrong"),
    [
        ({"password": GOOD, "again": GOOD}, False, {}),
        ({"password": GOOD, "again": "other"}, False, {"again": "differ"}),
        ({"password": "ANN", "again": "ANN"}, False, {"password": "the nick is no password"}),
        ({"password": GOOD, "again": GOOD}, True, {"email": "wants an invitation code"}),
        ({"password": GOOD, "again": GOOD, "email": "code"}, True, {}),
        ({"password": "", "again": ""}, False, {"password": "empty"}),
        ({"password": "a" * 600, "again": "a" * 600}, False, {"password": "long"}),
    ],
)
def test_new_accounts(answers: dict[str, Any], wants_code: bool, wrong: dict[str, str]) -> None:
    holds(check_new_account(Answers(**answers), "ann", wants_code=wants_code), wrong)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("cat 'a file'", {}),
        ("", {"command": "give the command"}),
        ("cat 'a file", {"command": "no end"}),
        ("no-such-\x1bprogram", {"command": "there is no program no-such-"}),
    ],
)
def test_commands_that_print_a_password(command: str, wrong: dict[str, str]) -> None:
    found = check_command_line(Answers(command=command))
    holds(found, wrong)
    assert all(text.isprintable() for text in found.values())


@pytest.mark.parametrize(
    ("rooms", "network", "wrong"),
    [
        ("#a, b,", "work", {}),
        ("", "Home", {"network": "of this name already"}),
        ("", "-", {"network": "up to 40"}),
        ("#a:b, #c:d", "work", {"rooms": "this cannot be a room: #a:b"}),
    ],
)
def test_rooms_and_the_name_of_the_network(rooms: str, network: str, wrong: dict[str, str]) -> None:
    holds(check_rooms(Answers(rooms=rooms, network=network), {"home"}), wrong)


def holds(found: dict[str, str], wrong: dict[str, str]) -> None:
    """Check that all that is wrong is said, in these words among others."""
    assert found.keys() == wrong.keys()
    for field_name, words in wrong.items():
        assert words in found[field_name]
