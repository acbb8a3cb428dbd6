"""What ``--explain`` says is what WeeChat and irssi understand, typed as it stands there."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from securechat.client.cli import main
from tests.client.invites import link_to
from tests.e2e.real_clients import CORE, Irssi, WeeChat
from tests.server.conftest import StartRelay
from tests.server.relay_harness import RunningRelay

SECRET = "correct-horse-battery"


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay that only lets in who has an invite."""
    return start_relay(accounts={"registration": "invite"})


def explained(
    program: str, relay: RunningRelay, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the commands for a program: of the first time, of all others, and into the room."""
    assert main(["--explain", link_to(relay, room="#friends")]) == 0
    text = capsys.readouterr().out
    pem = re.search(r"-----BEGIN.*END CERTIFICATE-----\n", text, re.DOTALL)
    assert pem is not None
    (folder / "ca.pem").write_text(pem[0])
    for name, value in (("FILE", folder / "ca.pem"), ("NICK", "ann"), ("PASSWORD", SECRET)):
        text = re.sub(rf"\b{name}\b", str(value), text)
    first, later = (
        re.findall(r"^  (/.*)", part, re.MULTILINE)
        for part in re.findall(rf"^{program}:\n((?:  .*\n)*)", text, re.MULTILINE)
    )
    return first, later, re.findall(r"^  (/join .*)", text, re.MULTILINE)


def test_irssi(relay: RunningRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(Irssi(tmp_path / "irssi")) as irssi:
        first, later, join = explained("irssi", relay, tmp_path, capsys)
        for line in first:
            irssi.type(line)
        irssi.wait_for("Welcome to the TestNet network, ann!")
        for line in join:
            irssi.type(line)
        irssi.wait_for("#friends: Total of", "#friends")
        for line in (*later, "/disconnect"):
            irssi.type(line)
        irssi.wait_for("Connection lost to localhost")
        irssi.type("/connect securechat")
        irssi.wait_for("SASL authentication succeeded")
        irssi.wait_for("Welcome to the TestNet network, ann!")


def test_weechat(relay: RunningRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(WeeChat(tmp_path / "weechat")) as weechat:
        first, later, join = explained("WeeChat", relay, tmp_path, capsys)
        for line in first:
            weechat.type(weechat.in_its_words(line), CORE)
        weechat.wait_for("Welcome to the TestNet network, ann!")
        for line in join:
            weechat.type(line)
        weechat.wait_for("Channel created on", "#friends")
        for line in (*later, "/reconnect securechat"):
            weechat.type(line, CORE)
        weechat.wait_for("SASL authentication successful")
        weechat.wait_for("Welcome to the TestNet network, ann!")
