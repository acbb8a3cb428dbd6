"""What is done at one relay, by tools or by operators, counts at all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import StoreError
from securechat.invite_link import parse_invite_link
from securechat.server.administration.desk import desk_at
from securechat.server.administration.invites import first_invite
from securechat.server.cluster import membership
from securechat.server.config import Config, OperatorConfig, StoreConfig
from securechat.server.reload import network_limits
from securechat.store.database import open_database
from securechat.store.passwords import Argon2Parameters, hash_password
from securechat.store.postgres import connect
from securechat.store.postgres_url import parse_postgres_url
from tests.server.administration.administrator import Administrator
from tests.server.cluster.cluster_harness import Relays, cluster_of, replies
from tests.server.commands.operators import as_operator
from tests.server.relay_harness import PASSWORD, Client, RunningRelay, commands
from tests.server.waiting import until
from tests.services.postgres import PostgresServer

CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)
OPERATORS = (OperatorConfig("root", hash_password("toor toor", CHEAP)),)

At = Callable[[RunningRelay], Administrator]


@pytest.fixture
def at(capsys: pytest.CaptureFixture[str]) -> At:
    """Makes somebody who gives commands where a relay runs."""
    return lambda relay: Administrator(relay.config, capsys)


def try_login(relay: RunningRelay, account: str, password: str = PASSWORD) -> list[str]:
    client = relay.connect()
    client.request("sasl")
    return client.authenticate_plain(account, password)


def closed(client: Client) -> str:
    return client.read_to_end()[-1]


# ---- accounts ----


def test_an_account_that_is_added_is_known_to_all(relays: Relays, at: At) -> None:
    a, b = relays.start("a"), relays.start("b")
    at(a)("account", "add", "ann", stdin=PASSWORD)
    relays.catch_up()
    assert commands(b.connect().ask("NICK ann", "USER x 0 * :x")) == ["433"]
    ann = b.login("ann", "sasl")
    assert "330 ann ann ann :is logged in as" in str(ann.ask("WHOIS ann"))


def test_a_password_counts_at_once(relays: Relays, at: At) -> None:
    a, b = relays.start("a"), relays.start("b")
    a.account("ann")
    at(b)("account", "passwd", "ann", stdin="another secret")
    for relay in (a, b):
        assert commands(try_login(relay, "ann")) == ["904"]
        assert commands(try_login(relay, "ann", "another secret")) == ["900", "903"]


def test_a_suspended_account_is_put_off_everywhere(relays: Relays, at: At) -> None:
    a, b = relays.start("a"), relays.start("b")
    here, bob = a.account("ann"), a.join("bob")
    there, waiting = b.login("ann", "sasl"), b.connect()
    waiting.request("sasl")
    assert "903" in commands(waiting.authenticate_plain("ann"))
    bob.ask("JOIN #room")
    there.ask("JOIN #room")
    at(a)("account", "suspend", "ann", "--reason", "spam")
    for client in (here, there, waiting):
        assert closed(client) == "ERROR :Closing link: This account is suspended: spam"
    assert bob.expect("QUIT").nick == "ann"
    for relay in (a, b):
        assert commands(try_login(relay, "ann")) == ["902"]
    at(b)("account", "resume", "ann")
    relays.catch_up()
    a.login("ann", "sasl")
    relays.settle()


def test_a_deleted_account_leaves_nothing(
    relays: Relays, at: At, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BEAT_S", 0.1)
    a, b = relays.start("a"), relays.start("b")
    ann = b.account("ann", "draft/metadata-2", "draft/read-marker")
    bob = a.account("bob")
    ann.ask("JOIN #own", "JOIN #room", "SET always-on on", "METADATA * SET avatar :cat.png")
    bob.ask("JOIN #room")
    ann.ask("PRIVMSG #room :in the room", "PRIVMSG bob :for bob", "MARKREAD bob timestamp=*")
    relays.catch_up()
    at(a)("account", "delete", "ann", "--yes")
    assert closed(ann) == "ERROR :Closing link: This account was deleted"
    relays.settle()
    for relay in (a, b):
        assert commands(try_login(relay, "ann")) == ["904"]
    for name in ("b", "a"):  # all that they have to write is written
        relays.stop(name)
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        for table, column in {
            "accounts": "folded_name",
            "account_settings": "account",
            "read_markers": "account",
            "room_people": "account",
            "metadata": "subject",
            "messages": "account",
            "conversations": "party",
        }.items():
            rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()
            assert not [row for (row,) in rows if row and "ann" in row.split()], table
        texts = connection.execute("SELECT text FROM messages").fetchall()
    assert ("in the room",) in texts
    assert ("for bob",) not in texts


def test_a_relay_that_does_not_come_to_write(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = relays.start("a")
    relays.start("b")
    monkeypatch.setattr(membership, "_PATIENCE_S", 0.0)
    members = cluster_of(a).members
    monkeypatch.setattr(type(members), "neighbours", ())
    with pytest.raises(StoreError, match="relay a has not written yet what it has"):
        cluster_of(a).members.await_writes()


# ---- invites ----


def test_an_invite_of_one_relay_is_used_at_another_once(relays: Relays, at: At) -> None:
    invited = {"accounts": {"registration": "invite"}}
    a, b = relays.start("a", **invited), relays.start("b", **invited)
    made = at(a).json("invite", "--room", "#den", "--host", "localhost")
    assert [each["id"] for each in at(b).json("invites")] == [made["id"]]
    ann = use_invite(b, "ann", made["link"])
    assert ann[0] == "SUCCESS"
    assert use_invite(a, "bob", made["link"])[0] == "INVALID_EMAIL"
    assert use_invite(b, "bob", made["link"])[0] == "INVALID_EMAIL"
    assert at(a).json("invites") == []
    relays.catch_up()
    a.login("ann", "sasl")


def test_an_invite_that_is_withdrawn_elsewhere(relays: Relays, at: At) -> None:
    invited = {"accounts": {"registration": "invite"}}
    a, b = relays.start("a", **invited), relays.start("b", **invited)
    made = at(a).json("invite", "--host", "localhost")
    at(b)("invites", "withdraw", made["id"])
    assert use_invite(a, "ann", made["link"])[0] == "INVALID_EMAIL"


def test_only_the_first_relay_invites_the_first_person(relays: Relays, at: At) -> None:
    invited: dict[str, Any] = {"accounts": {"registration": "invite"}}
    a, b = relays.start("a", **invited), relays.start("b", **invited)
    assert first_invite(desk_at(a.relay, None)) is not None
    assert first_invite(desk_at(b.relay, None)) is None


def use_invite(relay: RunningRelay, nick: str, link: str) -> tuple[str, ...]:
    client = relay.connect()
    client.request("draft/account-registration")
    client.send(f"NICK {nick}", f"REGISTER * {parse_invite_link(link).token} :{PASSWORD}")
    while True:
        message = client.read()
        if message.command == "REGISTER":
            return message.params
        if message.command == "FAIL":
            return message.params[1:]


# ---- bans, operators ----


def test_a_ban_of_one_relay_is_kept_by_all(relays: Relays, at: At) -> None:
    a, b = relays.start("a", operators=OPERATORS), relays.start("b")
    root, spammer = as_operator(a.join("root")), b.join("spam1")
    root.ask("KLINE spam* :no spam", "DLINE 192.0.2.7 :no spam")
    assert closed(spammer) == "ERROR :Closing link: You are banned from this relay: no spam"
    relays.catch_up()
    assert b.relay._admission.take("192.0.2.7") is None
    assert {each["mask"] for each in at(b).json("bans", "list")} == {"spam*!*@*", "192.0.2.7"}
    at(b)("bans", "lift", "192.0.2.7")
    at(b)("bans", "lift", "spam*")
    relays.catch_up()
    for relay, nick in ((a, "spam1"), (b, "spam2")):
        relay.join(nick, address="192.0.2.7")
    told = [message.params[1] for message in root.sync() if "ended by" in str(message)]
    assert told == [
        "D-line ended by the administrator: 192.0.2.7",
        "K-line ended by the administrator: spam*!*@*",
    ]


def test_an_operator_of_one_relay_is_one_for_all(relays: Relays) -> None:
    a, b = relays.start("a", operators=OPERATORS), relays.start("b")
    root, bob, ann = as_operator(a.join("root")), b.join("bob"), b.join("ann")
    assert "313 ann root :is an IRC operator" in str(ann.ask("WHOIS root"))
    root.ask("KILL bob :enough")
    assert closed(bob).startswith("ERROR :Closing link: Killed (root (enough))")


def test_a_certificate_is_known_everywhere(relays: Relays) -> None:
    tls = {"tls": {"client_ca": relays.certificates.ca_file}}
    a, b = relays.start("a", **tls), relays.start("b", **tls)
    a.account("ann")
    certificate = relays.certificates.of_person("x y")  # which is nobody's name
    ann = a.connect(certificate=certificate)
    ann.request("sasl")
    ann.authenticate_plain("ann")
    assert "Added to your account" in str(ann.register("ann").ask("CERT ADD"))
    there = b.connect(certificate=certificate)
    there.request("sasl")
    there.send("AUTHENTICATE EXTERNAL")
    there.expect("AUTHENTICATE", "+")
    assert commands(there.ask("AUTHENTICATE +")) == ["900", "903"]


# ---- reload ----


def test_a_reload_is_done_by_all(relays: Relays, at: At) -> None:
    wanted: dict[str, Config] = {}
    running = {}
    for name in "ab":
        relays.clocks["load_config"] = lambda name=name: wanted[name]
        running[name] = relays.start(name)
        wanted[name] = running[name].config
    a, b = running["a"], running["b"]
    ann = b.join("ann")
    for name, own in (("a", 3), ("b", 4)):
        limits = dataclasses.replace(
            wanted[name].limits, channels_per_user=own, connections=90 + own
        )
        wanted[name] = dataclasses.replace(wanted[name], limits=limits)
    at(a)("reload")
    services = b.relay.services
    until(lambda: services.config.limits.connections == 94, "b has not taken its configuration")
    assert a.relay.services.config.limits.connections == 93
    for relay in (a, b):
        assert relay.relay.services.network.limits == network_limits(wanted["a"])
    ann.sync()
    for name in ("#1", "#2", "#3"):
        ann.ask(f"JOIN {name}")
    assert commands(replies(ann, "JOIN #4")) == ["405"]
    relays.settle()


# ---- the state, without the others ----


def test_of_a_cluster_that_has_stopped_one_relay_can_be_made(
    relays: Relays, at: At, tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = relays.start("a", operators=OPERATORS), relays.start("b")
    ann = b.account("ann", "draft/metadata-2", "draft/read-marker")
    bob, root = a.account("bob"), as_operator(a.join("root"))
    ann.ask("JOIN #den", "MODE #den +k sesame", "TOPIC #den :of several", "SET always-on on")
    ann.ask("METADATA * SET avatar :cat.png", "MODE #den +b bad!*@*", "PRIVMSG #den :kept")
    bob.ask("JOIN #den sesame")
    ann.ask("ROOM RANK #den bob +v")
    ann.ask("MARKREAD #den timestamp=2023-01-01T00:00:00.000Z")
    root.ask("KLINE spam* :no spam")
    relays.settle()
    relays.stop("a")
    relays.stop("b")
    file = tmp_path / "alone" / "relay.db"
    order = Administrator(b.config, capsys)
    copied = order.json("store", "copy", "--from", postgres_url, "--to", f"sqlite:{file}")
    assert not [name for name in copied["rows"] if name.startswith("cluster")]
    config = dataclasses.replace(
        relays.config("alone"), store=StoreConfig(file), cluster=Config().cluster
    )
    alone = RunningRelay(config, relays.certificates)
    try:
        bob = alone.login("bob", "sasl")
        joined = bob.ask("JOIN #den sesame")
        assert "332 bob #den :of several" in str(joined)
        (names,) = [line for line in joined if " 353 " in f" {line}"]
        assert set(names.rpartition(":")[2].split()) == {"~ann", "+bob"}
        assert "367 bob #den bad!*@*" in str(bob.ask("MODE #den +b"))
        ann = alone.login("ann", "sasl", "draft/read-marker", "draft/metadata-2")
        marker = "MARKREAD #den timestamp=2023-01-01T00:00:00.000Z"
        assert marker in str(ann.ask("MARKREAD #den"))
        assert "cat.png" in str(ann.ask("METADATA * GET avatar"))
        assert [each["mask"] for each in at(alone).json("bans", "list")] == ["spam*!*@*"]
    finally:
        alone.stop()


def test_a_copy_begins_with_a_stream_of_its_own(
    relays: Relays, tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    a = relays.start("a")
    a.account("ann").ask("JOIN #den", "TOPIC #den :of before")
    relays.stop("a")
    order = Administrator(a.config, capsys)
    file = f"sqlite:{tmp_path / 'copy.db'}"
    assert a.config.store.url is not None
    with postgres.namespace(tables=False) as other:
        relays.postgres_url, url = postgres.url(other), relays.postgres_url
        order("store", "copy", "--from", url, "--to", file)
        order("store", "copy", "--from", file, "--to", relays.postgres_url)
        with pytest.raises(StoreError, match=r"the stream has events up to .* needs a new stream"):
            relays.start("a")
        a, b = (relays.start(name, cluster={"stream": "another"}) for name in "ab")
        ann = b.login("ann", "sasl")
        assert "332 ann #den :of before" in str(ann.ask("JOIN #den"))
        relays.settle()
        for name in "ab":
            relays.stop(name)


def test_a_running_cluster_is_not_copied(
    relays: Relays, at: At, tmp_path: Path, postgres_url: str
) -> None:
    a = relays.start("a")
    to = f"sqlite:{tmp_path / 'to.db'}"
    with pytest.raises(StoreError, match="in use by a relay"):
        at(a)("store", "copy", "--from", postgres_url, "--to", to)
    assert cluster_of(a).event_log.standing.incarnation
    with closing(open_database(tmp_path / "from.db")):
        pass
    with pytest.raises(StoreError, match="in use by a relay"):
        at(a)("store", "copy", "--from", f"sqlite:{tmp_path / 'from.db'}", "--to", postgres_url)
