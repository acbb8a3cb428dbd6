"""Every specification that the relay follows, and what else it promises, spoken with a relay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversations.conversation import Conversation, Mismatch, scripts

SCRIPTS = {path.stem: path for path in scripts()}

SPECIFICATIONS = """
account-extban account-notify account-registration account-tag away-notify batch bot-mode
capability-negotiation channel-context channel-rename chathistory chghost client-batch echo-message
extended-isupport extended-join extended-monitor invite-notify labeled-response message-ids
message-redaction message-tags metadata monitor multi-prefix multiline network-icon
no-implicit-names oper-tag pre-away react read-marker reply sasl-3.1 sasl-3.2 search server-time
setname standard-replies sts typing userhost-in-names utf8-only webirc whox
"""
"""The specifications of ircv3.net, and ``soju.im/search``. WebSocket is in tests/server."""

MODERN = "registration messages channels modes queries operators"
"""Modern IRC, by subject."""

PROMISES = "always-on devices missed-lines peer promise rooms-of-accounts"
"""What the project promises besides."""


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_conversation(name: str, ca: Path, tmp_path: Path) -> None:
    Conversation(SCRIPTS[name].read_text("utf-8"), ca, tmp_path).play()


def test_there_is_a_conversation_for_every_specification() -> None:
    modern = {f"modern-{subject}" for subject in MODERN.split()}
    assert set(SCRIPTS) == {*SPECIFICATIONS.split(), *PROMISES.split()} | modern


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("alice connects\nalice -> PING x\nalice <- PONG * y", "there came"),
        ("alice connects\nalice -> PING x\nalice <- nothing", "there came"),
        ("alice connects\nalice -> PING x\nalice <- @time=* PONG * x", "there came"),
        ("alice connects with server-time\nalice -> NICK al\nalice <- @!time NICK al", "there"),
        ("alice connects\nalice -> PING x\nalice <- :bob PONG * x", "there came"),
        ("alice connects\nalice -> PING x\nalice <- PONG *", "there came"),
        ("alice connects\nalice -> QUIT\nalice <- ...\nalice <- JOIN #a", "did not come"),
        ("> why not\nalice says hello", "not a line of a script"),
    ],
)
def test_a_wrong_script_fails(script: str, told: str, ca: Path, tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match=told) as failed:
        Conversation(script, ca, tmp_path).play()
    assert script.splitlines()[-1] in str(failed.value)
