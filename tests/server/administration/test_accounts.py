"""account …: at a running relay through its socket, and on the files of a stopped one."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import ConfigError, SecureChatError
from securechat.server.config import Config
from securechat.store.accounts import Accounts
from securechat.store.certificates import AccountCertificates
from securechat.store.migrations import APPLICATION_ID, MIGRATIONS
from securechat.store.settings import AccountSettings
from tests.server.administration.administrator import Administrator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    PASSWORD,
    WALL_S,
    Client,
    FakeClock,
    RunningRelay,
    commands,
)

FAILED = "904 * :SASL authentication failed"
USER = "USER ann 0 * :Ann"


def stored(config: Config, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(config.store.path)) as connection:
        return connection.execute(sql, parameters).fetchall()


def try_login(relay: RunningRelay, account: str, password: str = PASSWORD) -> list[str]:
    client = relay.connect()
    client.request("sasl")
    return client.authenticate_plain(account, password)


def can_log_in(relay: RunningRelay, account: str, password: str = PASSWORD) -> bool:
    return "903" in commands(try_login(relay, account, password))


def says(client: Client, target: str, text: str) -> None:
    """Say something; when this returns it is in the store."""
    client.send(f"PRIVMSG {target} :{text}")
    client.expect("PRIVMSG", target)


# ---- add, passwd ----


def test_an_account_is_added_to_a_running_relay(order: Administrator, relay: RunningRelay) -> None:
    """Its nick is reserved at once; the guest who has it moves on."""
    guest = relay.join("ann")
    assert order("account", "add", "Ann", stdin=f"{PASSWORD}\n") == "There is an account Ann now\n"
    assert [line.split(" ")[1] for line in guest.seen()] == ["NICK"]
    assert can_log_in(relay, "ann")
    assert commands(relay.connect().ask("NICK ann", USER)) == ["433"]


def test_an_account_is_added_while_no_relay_runs(
    on_files: Administrator, start_relay: StartRelay
) -> None:
    on_files("account", "add", "ann", stdin=PASSWORD)
    relay = start_relay()
    assert can_log_in(relay, "ann")
    assert try_login(relay, "ann", "wrong password") == [FAILED]


def test_an_account_that_only_a_certificate_opens(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str], relay_certificates: object
) -> None:
    relay = start_relay(tls={"client_ca": relay_certificates.ca_file})  # type: ignore[attr-defined]
    order = Administrator(relay.config, capsys)
    order("account", "add", "ann", "--no-password")
    assert try_login(relay, "ann", "") == [FAILED]
    client = relay.connect(certificate=relay.certificates.of_person("ann"))
    client.request("sasl")
    client.send("AUTHENTICATE EXTERNAL")
    client.expect("AUTHENTICATE", "+")
    assert commands(client.ask("AUTHENTICATE +")) == ["900", "903"]


@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("a b", PASSWORD, "a b: this cannot be an account's name"),
        ("x" * 31, PASSWORD, "this cannot be an account's name"),
        ("carl", "short", "Choose a password of at least 8 characters"),
        ("carlcarl", "CarlCarl", "Choose a password of at least 8 characters, and not your nick"),
        ("carl", "", "the password is empty"),
        ("carl", "tab\tin the password", "control characters"),
    ],
)
def test_what_cannot_be_an_account(
    anywhere: Administrator, name: str, password: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        anywhere("account", "add", name, stdin=password)
    anywhere("account", "add", "bob", stdin=PASSWORD)
    with pytest.raises(SecureChatError, match="there is an account Bob already"):
        anywhere("account", "add", "Bob", stdin=PASSWORD)
    assert [each["name"] for each in anywhere.json("account", "list")] == ["bob"]


def test_no_account_looks_like_another(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("confusable_homoglyphs", reason="the extra unicode is not installed")
    relay = start_relay(server={"casemapping": "precis"})
    order = Administrator(relay.config, capsys)
    order("account", "add", "alice", stdin=PASSWORD)
    with pytest.raises(ConfigError, match="this looks like the account alice"):
        order("account", "add", "\u0430lice", stdin=PASSWORD)  # a Cyrillic letter


def test_a_new_password(anywhere: Administrator) -> None:
    anywhere("account", "add", "ann", stdin=PASSWORD)
    before = stored(anywhere.config, "SELECT password_hash, scram FROM accounts")
    anywhere("account", "passwd", "ANN", stdin="another password\n")
    after = stored(anywhere.config, "SELECT password_hash, scram FROM accounts")
    assert all(old != new for old, new in zip(before[0], after[0], strict=True))
    with pytest.raises(ConfigError, match="at least 8 characters"):
        anywhere("account", "passwd", "ann", stdin="short\n")


def test_both_ways_to_log_in_have_the_new_password(
    order: Administrator, relay: RunningRelay
) -> None:
    relay.account("ann")
    order("account", "passwd", "ann", stdin="another password\n")
    client = relay.connect()
    client.request("sasl")
    assert client.authenticate_plain("ann") == [FAILED]
    assert client.authenticate_scram("ann") == [FAILED]
    assert commands(client.authenticate_scram("ann", "another password")) == ["900", "903"]


@pytest.mark.parametrize("command", ["passwd", "suspend", "resume", "delete"])
def test_there_is_no_such_account(anywhere: Administrator, command: str) -> None:
    anywhere("account", "add", "ann", stdin=PASSWORD)
    flags = ["--yes"] if command == "delete" else []
    with pytest.raises(SecureChatError, match="there is no account nobody"):
        anywhere("account", command, "nobody", *flags, stdin=PASSWORD)


# ---- suspend, resume ----


def test_the_devices_of_a_suspended_account_are_put_off(
    order: Administrator, relay: RunningRelay
) -> None:
    phone = relay.account("ann")
    laptop = relay.login("ann")
    connecting = relay.connect()
    connecting.request("sasl")
    connecting.authenticate_plain("ann")
    bob = relay.account("bob")
    order("account", "suspend", "ann", "--reason", "spam")
    for client in (phone, laptop, connecting):
        assert client.read_to_end()[-1] == ("ERROR :Closing link: This account is suspended: spam")
    assert commands(bob.ask("WHOIS ann"))[0] == "401"
    assert try_login(relay, "ann") == ["902 * :This account is suspended: spam"]
    assert try_login(relay, "ann", "wrong password") == [FAILED]


def test_a_suspended_account_may_be_used_again(order: Administrator, relay: RunningRelay) -> None:
    relay.account("ann")
    order("account", "suspend", "ann")
    assert try_login(relay, "ann") == ["902 * :This account is suspended"]
    assert order("account", "resume", "ann") == "One can log in to ann again\n"
    assert relay.login("ann").nick == "ann"
    with pytest.raises(SecureChatError, match="the account ann is not suspended"):
        order("account", "resume", "ann")


@pytest.mark.parametrize("running", [True, False])
def test_a_suspension_lasts(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    """Also somebody who is always on is not there after a restart."""
    relay = start_relay()
    ann = relay.account("ann")
    ann.ask("SET always-on on", "JOIN #x")
    order = Administrator(relay.config, capsys)
    if running:
        order("account", "suspend", "ann", "--reason", "spam")
        relay.stop()
    else:
        relay.stop()
        order("account", "suspend", "ann", "--reason", "spam")
    relay = start_relay()
    assert commands(relay.join("bob").ask("WHOIS ann"))[0] == "401"
    assert try_login(relay, "ann") == ["902 * :This account is suspended: spam"]
    assert commands(relay.connect().ask("NICK ann", USER)) == ["433"], "the name stays taken"
    order("account", "resume", "ann")
    assert relay.login("ann").nick == "ann"


@pytest.mark.parametrize("reason", ["x" * 301, "two\nlines", "\x1b[31m"])
def test_a_reason_is_one_line(anywhere: Administrator, reason: str) -> None:
    anywhere("account", "add", "ann", stdin=PASSWORD)
    with pytest.raises(ConfigError, match="--reason must be one line of at most 300 characters"):
        anywhere("account", "suspend", "ann", "--reason", reason)
    assert anywhere.json("account", "list")[0]["suspended"] is None


# ---- delete ----


def live(relay: RunningRelay) -> tuple[Client, Client]:
    """Have ann leave traces everywhere, and bob, to whom she speaks."""
    ann, bob = relay.account("ann", "echo-message"), relay.account("bob", "echo-message")
    ann.request("draft/metadata-2", "draft/read-marker")
    bob.ask("JOIN #his")
    ann.ask("JOIN #his", "JOIN #hers", "SET always-on on", "METADATA * SET avatar :https://x.org/y")
    bob.ask("MODE #his +o ann")
    says(ann, "#his", "hello room")
    says(ann, "bob", "secret of ann")
    says(bob, "ann", "secret of bob")
    ann.ask("MARKREAD #his timestamp=2023-11-14T22:13:20.250Z")
    relay.relay.services.store.call(
        lambda c: AccountCertificates(c).add("ann", "00" * 32, "phone", 1)
    )
    return ann, bob


TABLES = {
    "accounts": "folded_name = 'ann'",
    "account_settings": "account = 'ann'",
    "account_certificates": "account = 'ann'",
    "read_markers": "account = 'ann'",
    "metadata": "subject = 'account ann'",
    "room_people": "account = 'ann'",
    "rooms": "owner = 'ann'",
    "conversations": "party = 'ann' OR other_party = 'ann'",
    "messages": "account = 'ann' OR text LIKE 'secret%'",
}


def traces(config: Config) -> list[str]:
    return [
        table
        for table, condition in TABLES.items()
        if stored(config, f"SELECT 1 FROM {table} WHERE {condition}")
    ]


@pytest.mark.parametrize("running", [True, False])
def test_all_that_is_an_accounts_is_deleted(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    relay = start_relay()
    ann, _ = live(relay)
    order = Administrator(relay.config, capsys)
    if not running:
        relay.stop()
    assert traces(relay.config) == list(TABLES)
    said = order("account", "delete", "ANN", "--yes")
    assert said.startswith("The account ann is deleted\n")
    assert said.endswith("belongs to nobody, and ends with its last member: #hers\n")
    if running:
        assert ann.read_to_end()[-1] == "ERROR :Closing link: This account was deleted"
        relay.stop()
    assert traces(relay.config) == []
    assert stored(relay.config, "SELECT sender, account FROM messages WHERE text = ?", "hello room")
    relay = start_relay()
    relay.stop()
    assert traces(relay.config) == []


def test_nobody_inherits_a_name(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has it next reads and redacts nothing of who had it before, and owns nothing."""
    now = FakeClock(WALL_S)
    relay = start_relay(wall_clock=now)
    order = Administrator(relay.config, capsys)
    _, bob = live(relay)
    now.now += 60
    bob.ask("MODE #his +i")
    order("account", "delete", "ann", "--yes")
    assert try_login(relay, "ann") == [FAILED]
    assert "401" in commands(bob.ask("WHOIS ann"))
    caps = ("batch", "server-time", "message-tags", "draft/chathistory", "draft/read-marker")
    again = relay.account("ann", *caps)
    assert [line for line in again.ask("CHATHISTORY LATEST bob * 10") if "secret" in line] == []
    assert commands(again.ask("JOIN #his")) == ["473"]
    bob.ask("INVITE ann #his")
    again.ask("JOIN #his")
    assert [line for line in again.ask("CHATHISTORY LATEST #his * 10") if "hello" in line] == []
    assert "ann" in again.ask("NAMES #his")[0].split(":")[-1].split(" "), "without a rank"
    bob.request("batch", "draft/chathistory")
    assert any("hello room" in line for line in bob.ask("CHATHISTORY LATEST #his * 10"))


def test_deleting_is_confirmed(order: Administrator, relay: RunningRelay) -> None:
    relay.account("ann").quit()
    with pytest.raises(ConfigError, match="say --yes to delete an account without being asked"):
        order("account", "delete", "ann")
    assert can_log_in(relay, "ann")


# ---- list ----


@pytest.mark.parametrize("words", [("account", "list"), ("invites",), ("bans", "list")])
def test_lists_wait_for_nobody_who_writes(anywhere: Administrator, words: tuple[str, ...]) -> None:
    """As another program that has locked the database, and does not let go of it."""
    anywhere("account", "add", "ann", stdin=PASSWORD)
    with contextlib.closing(
        sqlite3.connect(anywhere.config.store.path, isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        found = anywhere.json(*words)
    assert [each["name"] for each in found] == (["ann"] if words == ("account", "list") else [])


def test_a_database_of_an_older_version_is_brought_up_to_date(on_files: Administrator) -> None:
    with contextlib.closing(sqlite3.connect(on_files.config.store.path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        Accounts(connection).create("ann", "ann", "", "", 1.0)
        connection.commit()
    assert [each["name"] for each in on_files.json("account", "list")] == ["ann"]


def test_the_list(anywhere: Administrator) -> None:
    anywhere("account", "add", "Ann", stdin=PASSWORD)
    anywhere("account", "add", "bob", "--no-password")
    anywhere("account", "suspend", "bob", "--reason", "spam")

    with contextlib.closing(
        sqlite3.connect(anywhere.config.store.path, isolation_level=None)
    ) as connection:
        AccountSettings(connection).set("ann", "always-on", "on")
        AccountCertificates(connection).add("ann", "00" * 32, "", 1)
        Accounts(connection).touch_login("ann", 1_700_000_000.0)
    ann, bob = anywhere.json("account", "list")
    created = ann.pop("created_at")
    assert ann == {
        "name": "Ann",
        "last_login_at": 1_700_000_000.0,
        "suspended": None,
        "always_on": True,
        "certificates": 1,
    }
    assert bob["created_at"] >= created > 1_700_000_000
    assert (bob["suspended"], bob["last_login_at"], bob["always_on"]) == ("spam", None, False)
    head, first, second = anywhere("account").splitlines()
    assert " ".join(head.split()) == "NAME CREATED LAST LOGIN ALWAYS ON CERTIFICATES SUSPENDED"
    assert "2023-11-14 22:13 UTC  yes        1             -" in first
    assert second.split()[-2:] == ["0", "spam"]
    assert second.index("spam") == head.index("SUSPENDED")


@pytest.mark.parametrize(
    ("policy", "wish", "expected"),
    [
        ("off", "on", False),
        ("opt-in", "", False),
        ("opt-out", "", True),
        ("opt-out", "off", False),
    ],
)
def test_who_is_always_on(
    start_relay: StartRelay,
    capsys: pytest.CaptureFixture[str],
    policy: str,
    wish: str,
    expected: bool,
) -> None:
    relay = start_relay(accounts={"always_on": policy})
    relay.account("ann")
    if wish:
        relay.relay.services.store.call(lambda c: AccountSettings(c).set("ann", "always-on", wish))
    (ann,) = Administrator(relay.config, capsys).json("account", "list")
    assert ann["always_on"] is expected


def test_there_is_nothing_to_list(on_files: Administrator) -> None:
    with pytest.raises(SecureChatError, match=r"there is no database .*relay\.db yet"):
        on_files("account", "list")
    assert not on_files.config.store.path.exists()


# ---- export ----


@pytest.mark.parametrize("running", [True, False])
def test_a_person_gets_all_that_is_kept_of_them(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str], tmp_path: Path, running: bool
) -> None:
    relay = start_relay()
    live(relay)
    if not running:
        relay.stop()
    file = tmp_path / "ann.json"
    said = Administrator(relay.config, capsys)("account", "export", "ann", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    found = json.loads(text)
    assert list(found) == [
        "account",
        "settings",
        "certificates",
        "rooms",
        "read_markers",
        "metadata",
        "devices",
        "messages",
    ]
    assert found["account"] == {
        "name": "ann",
        "created": "2023-11-14T22:13:20.250+00:00",
        "last_login": None,
        "suspended": None,
        "has_password": True,
    }
    assert found["settings"]["always-on"] == "on"
    assert found["certificates"] == [
        {"sha256": "00" * 32, "label": "phone", "added": "1970-01-01T00:00:00.001+00:00"}
    ]
    since = "2023-11-14T22:13:20.250+00:00"
    assert [(room["name"], room["owner"], room["ranks"]) for room in found["rooms"]] == [
        ("#his", False, "o"),
        ("#hers", True, "oq"),
    ]
    assert {room["member_since"] for room in found["rooms"]} == {since}
    assert found["read_markers"] == {"#his": since}
    assert found["metadata"] == {"avatar": "https://x.org/y"}
    spoken = [
        (each.get("with"), each.get("room"), each["account"], each["text"])
        for each in found["messages"]
        if each["kind"] == "PRIVMSG"
    ]
    assert spoken == [
        ("bob", None, "ann", "secret of ann"),
        ("bob", None, "bob", "secret of bob"),
        (None, "#his", "ann", "hello room"),
    ]
    assert {
        (each["kind"], each["room"]) for each in found["messages"] if each["kind"] == "JOIN"
    } == {
        ("JOIN", "#his"),
        ("JOIN", "#hers"),
    }
    (secrets,) = stored(relay.config, "SELECT password_hash, scram FROM accounts WHERE name='ann'")
    assert not any(str(secret) in text for secret in secrets)
    assert said == f"{file}: all of ann, with {len(found['messages'])} messages\n"


def test_the_room_of_a_guest_has_its_name(
    order: Administrator, relay: RunningRelay, tmp_path: Path
) -> None:
    """The store does not know it."""
    relay.join("carl").ask("JOIN #theirs")
    ann = relay.account("ann", "echo-message")
    ann.ask("JOIN #theirs")
    says(ann, "#theirs", "hello")
    order("account", "export", "ann", str(tmp_path / "ann.json"))
    found = json.loads((tmp_path / "ann.json").read_text())
    assert found["messages"][-1]["room"] == "#theirs"


def test_an_export_overwrites_nothing(anywhere: Administrator, tmp_path: Path) -> None:
    anywhere("account", "add", "ann", stdin=PASSWORD)
    (tmp_path / "ann.json").write_text("precious")
    with pytest.raises(ConfigError, match=r"ann\.json: cannot be made \(File exists\)"):
        anywhere("account", "export", "ann", str(tmp_path / "ann.json"))
    assert (tmp_path / "ann.json").read_text() == "precious"
    with pytest.raises(SecureChatError, match="there is no account nobody"):
        anywhere("account", "export", "nobody", str(tmp_path / "nobody.json"))
    assert not (tmp_path / "nobody.json").exists()


# ---- at a terminal ----


@pytest.fixture
def terminal(stopped: Config, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs the console script at a terminal where ``typed`` is typed, a line at each question."""
    pty = pytest.importorskip("pty", reason="there are no terminals like those of Unix")
    config = tmp_path / "relay.toml"
    config.write_text(
        f"[store]\npath = {json.dumps(str(stopped.store.path))}\n"
        "[accounts]\nargon2_memory_kib = 8192\nargon2_iterations = 1\n"
    )

    def run(*words: str, typed: dict[str, str]) -> tuple[int, str]:
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, "--config", str(config), *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        shown, waiting = "", dict(typed)
        with contextlib.suppress(OSError):  # the terminal is closed when the child ends
            while data := os.read(master, 4_096):
                shown += data.decode()
                for question in [each for each in waiting if each in shown]:
                    os.write(master, waiting.pop(question).encode() + b"\n")
        os.close(master)
        assert not waiting, shown
        return child.wait(LONG_TIMEOUT_S), shown.replace("\r\n", "\n")

    return run


_AT_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from securechat.server.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_at_a_terminal_one_is_asked(
    terminal: Callable[..., tuple[int, str]], start_relay: StartRelay
) -> None:
    """A password twice and unseen; whether an account is to be deleted, by its name."""
    typed = {"Password: ": PASSWORD, "The same again: ": "something else"}
    code, shown = terminal("account", "add", "ann", typed=typed)
    assert code == 2
    assert "these are two different passwords" in shown
    code, shown = terminal("account", "add", "ann", typed=dict.fromkeys(typed, PASSWORD))
    assert (code, PASSWORD in shown) == (0, False)
    relay = start_relay()
    assert can_log_in(relay, "ann")
    asked = "The name of the account again: "
    code, shown = terminal("account", "delete", "ann", typed={asked: "Ann"})
    assert code == 2
    assert "this is another name: nothing was deleted" in shown
    code, shown = terminal("account", "delete", "ann", typed={asked: "\x04"})  # Ctrl-D
    assert (code, "Traceback" in shown) == (2, False)
    assert can_log_in(relay, "ann")
