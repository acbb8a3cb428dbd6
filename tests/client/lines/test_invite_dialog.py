"""An invite link followed on a real terminal, line by line, into the chat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client.settings.profiles import Network, PasswordSource, load_profiles
from tests.client.invites import link_to
from tests.client.pty_child import Child, on_a_terminal
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, RunningRelay

WITHOUT_EXTRAS = (
    "import sys; sys.modules.update(dict.fromkeys(('textual', 'rich', 'emoji', 'keyring'))); "
)
"""As if these packages were not installed."""


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay that only lets in who has an invite."""
    return start_relay(accounts={"registration": "invite"})


@contextlib.contextmanager
def following(link: str, home: Path) -> Iterator[Child]:
    """Run ``securechat-client LINK`` for a user whose settings are below ``home``."""
    with on_a_terminal(
        *(["--no-peers", link] if link else ["--no-peers"]),
        before=WITHOUT_EXTRAS,
        XDG_CONFIG_HOME=str(home),
    ) as child:
        yield child


def answer(child: Child, *lines: tuple[str, str]) -> None:
    """Wait for each prompt, and type what is to be answered."""
    for prompt, text in lines:
        child.wait_for(prompt)
        child.type(f"{text}\r")


def leave(child: Child) -> None:
    child.type("exit\r")
    assert child.wait() == 0


NEW = "New password for ann (empty: take another nick): "
AGAIN = "The same again: "
NUMBER = "A number (empty: 1): "


def test_from_nothing_to_talking(relay: RunningRelay, tmp_path: Path) -> None:
    with following(link_to(relay, room="#friends"), tmp_path) as child:
        child.wait_for(f"* Fetching the CA of localhost:{relay.address[1]} …")
        answer(child, ("Your nick: ", "ann"))
        child.wait_for("* Asking the server for the nick ann …")
        answer(child, (NEW, PASSWORD), (AGAIN, PASSWORD))
        child.wait_for("* Making an account of the nick ann …")
        child.wait_for("  1  Ask me at each start\r\n  2  A command prints it")
        answer(child, (NUMBER, ""))
        child.wait_for("you joined #friends")
        child.type("hello\r")
        child.wait_for("<ann> hello")
        leave(child)
        assert PASSWORD not in child.output
    profiles = load_profiles(tmp_path / "securechat" / "profiles.toml")
    assert profiles.last == "localhost"
    assert profiles.networks == {
        "localhost": Network(
            "localhost",
            "ann",
            port=relay.address[1],
            ca=tmp_path / "securechat" / "localhost-ca.pem",
            password=PasswordSource("prompt"),
            rooms=("#friends",),
        )
    }
    with following("", tmp_path) as child:  # from now on that is all
        answer(child, ("Password for ann on localhost:", PASSWORD))
        child.wait_for("you joined #friends")
        leave(child)


def test_what_is_not_taken(relay: RunningRelay, tmp_path: Path) -> None:
    with following(link_to(relay, account="bob"), tmp_path / "bob") as child:
        answer(
            child,
            ("New password for bob: ", PASSWORD),
            (AGAIN, "another"),
        )
        child.wait_for("! the two passwords differ")
        answer(child, ("New password for bob: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, "7"))
        answer(child, (NUMBER, "2"), ("The command: ", "no-such-program"))
        child.wait_for("! there is no program no-such-program")
        answer(child, (NUMBER, "1"))
        child.wait_for("you are bob, logged in as bob")
        leave(child)
    with following(link_to(relay, token="no-such-token"), tmp_path / "ann") as child:
        answer(child, ("Your nick: ", "bob"))
        new = NEW.replace("ann", "bob")
        answer(child, (new, "another password"), (AGAIN, "another password"))
        child.wait_for("* Logging in as bob …")
        child.wait_for("* The nick bob belongs to an account.")
        child.wait_for("! account and password do not fit together")
        answer(child, ("Password for bob (empty: take another nick): ", ""), ("Your nick: ", "ann"))
        answer(child, (NEW, PASSWORD), (AGAIN, PASSWORD))
        child.wait_for("! the server does not take the invite: ")
        answer(child, ("New invite link (empty: take another nick): ", "securechat://x"))
        child.wait_for("! this invite link is not complete")
        answer(child, ("New invite link (empty: take another nick): ", link_to(relay)))
        answer(child, (NUMBER, ""))
        child.wait_for("you are ann, logged in as ann")
        leave(child)


def test_the_link_once_more(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay, account="ann")
    for times in (1, 2):
        with following(link, tmp_path) as child:
            answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
            child.wait_for("you are ann, logged in as ann")
            assert ("Logging in as ann" in child.output) == (times == 2)
            leave(child)
    assert list(load_profiles(tmp_path / "securechat" / "profiles.toml").networks) == ["localhost"]


def test_another_server_than_that_of_the_invite(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay, ca=relay.certificates.other_ca)
    with following(link, tmp_path) as child:
        child.wait_for("! This is not the server of your invite")
        child.wait_for("What to do: Do not go on with this link.")
        child.wait_for("is not the one that the\r\ninvite names")
        assert child.wait() == 2
        assert "Your nick" not in child.output
    assert not (tmp_path / "securechat").exists()


def test_nobody_is_there(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay)
    relay.stop()
    with following(link, tmp_path) as child:
        child.wait_for("! Nothing listens there")
        assert child.wait() == 1


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_leaving(key: str, relay: RunningRelay, tmp_path: Path) -> None:
    with following(link_to(relay), tmp_path) as child:
        child.wait_for("Your nick: ")
        assert child.leave_by(key) == 0
    assert not (tmp_path / "securechat").exists()


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_leaving_when_the_account_is_made(key: str, relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay, account="ann")
    with following(link, tmp_path) as child:
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD))
        child.wait_for(NUMBER)
        assert child.leave_by(key) == 0
        child.wait_for("The account ann is there.")
    assert not (tmp_path / "securechat").exists()
    with following(link, tmp_path) as child:
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
        child.wait_for("you are ann, logged in as ann")
        leave(child)


def test_long_texts_are_broken_between_words(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay, ca=relay.certificates.other_ca)
    with following(link, tmp_path) as child:
        child.wait_for("! This is not the server of your invite")
        assert child.wait() == 2
    lines = child.output.splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 80


def test_settings_that_cannot_be_read(relay: RunningRelay, tmp_path: Path) -> None:
    """That is told before the invite is used up."""
    (tmp_path / "securechat").write_text("a file where the folder should be")
    with following(link_to(relay), tmp_path) as child:
        child.wait_for("cannot be read")
        assert child.wait() == 2
        assert "Fetching" not in child.output


def in_the_way(home: Path, name: str) -> None:
    """Put a folder where a file is to be written: not even root can do that."""
    (home / "securechat" / name).mkdir(parents=True)


def test_a_profile_that_cannot_be_written(relay: RunningRelay, tmp_path: Path) -> None:
    in_the_way(tmp_path, ".profiles.toml.lock")
    with following(link_to(relay, account="ann"), tmp_path) as child:
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
        child.wait_for("profiles.toml: cannot be written")
        child.wait_for("you are ann, logged in as ann")
        leave(child)


def test_a_ca_that_cannot_be_written(relay: RunningRelay, tmp_path: Path) -> None:
    in_the_way(tmp_path, "localhost-ca.pem")
    with following(link_to(relay, account="ann"), tmp_path) as child:
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
        child.wait_for("cannot be written")
        assert child.wait() == 1


def test_a_room_that_cannot_be_one(relay: RunningRelay, tmp_path: Path) -> None:
    with following(link_to(relay, account="ann", room="#a:b"), tmp_path) as child:
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
        child.wait_for("! this cannot be a room: #a:b")
        answer(child, ("Rooms to be in, with commas between them: ", "garden"))
        child.wait_for("you joined #garden")
        leave(child)


def test_the_only_nick_is_in_use(start_relay: StartRelay, tmp_path: Path) -> None:
    relay = start_relay()
    other = relay.join("ann")
    with following(link_to(relay, account="ann"), tmp_path) as child:
        child.wait_for("* The invite is for the nick ann only.")
        child.wait_for("Enter tries again, Ctrl-D leaves: ")
        other.quit()
        child.type("\r")
        answer(child, ("New password for ann: ", PASSWORD), (AGAIN, PASSWORD), (NUMBER, ""))
        child.wait_for("you are ann, logged in as ann")
        leave(child)
