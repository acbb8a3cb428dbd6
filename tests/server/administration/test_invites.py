"""invite, invites: links that let people in, at a running relay and on files."""

from __future__ import annotations

import logging
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from securechat.errors import ConfigError, SecureChatError
from securechat.invite_link import InviteLink, parse_invite_link
from securechat.server.administration.desk import desk_at, desk_on_files
from securechat.server.administration.invites import first_invite
from securechat.server.config import Config, ServerConfig, TlsConfig
from securechat.store.invites import Invites
from tests.server.administration.administrator import Administrator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Certificates, RunningRelay, commands

USER = "USER ann 0 * :Ann"


def ca_hash(certificates: Certificates) -> bytes:
    return x509.load_pem_x509_certificate(certificates.ca_file.read_bytes()).fingerprint(SHA256())


def served(config: Config, certificate: Path, *listen: tuple[str, int]) -> Config:
    """Return ``config`` with another certificate, and addresses to listen on."""
    server = ServerConfig(listen=listen or (("127.0.0.1", 6697),))
    return replace(config, tls=TlsConfig(certificate, certificate), server=server)


@pytest.fixture
def of_public_ca(tmp_path: Path) -> Path:
    """A certificate whose CA is neither in the chain nor beside it."""
    file = tmp_path / "public" / "server.pem"
    file.parent.mkdir()
    issued = trustme.CA().issue_cert("localhost", "chat.example.org", "*.example.net")
    issued.private_key_and_cert_chain_pem.write_to_path(file)
    return file


# ---- invite ----


def test_a_link_to_a_running_relay_lets_somebody_in(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = start_relay(accounts={"registration": "invite"}, wall_clock=time.time)
    order = Administrator(relay.config, capsys)
    found = order.json("invite", "--room", "#home")
    link = parse_invite_link(found["link"])
    token = link.token
    assert link == InviteLink(
        "localhost", relay.address[1], token, ca_hash(relay.certificates), "#home"
    )
    assert re.fullmatch(r"[\w-]{22}", token)
    assert found["ca"].encode() == relay.certificates.ca_file.read_bytes()
    client = relay.connect()
    found = client.ask("NICK ann", f"REGISTER * invite:{token} :{PASSWORD}", USER)
    assert commands(found)[:3] == ["REGISTER", "900", "001"]
    assert commands(relay.connect().ask("NICK bob", f"REGISTER * {token} :{PASSWORD}")) == ["FAIL"]


def test_a_link_while_no_relay_runs(on_files: Administrator, start_relay: StartRelay) -> None:
    """The port is that of the configuration."""
    on_files.config = served(
        on_files.config, on_files.config.tls.certificate, ("localhost", 7_000), ("::1", 7_001)
    )
    said = on_files("invite", "--uses", "2", "--days", "0.5", "--account", "Ann")
    assert "It registers the account Ann, until " in said
    link = parse_invite_link(said.split()[0])
    assert (link.host, link.port, link.account) == ("localhost", 7_000, "Ann")
    (kept,) = on_files.json("invites", "list")
    assert kept["expires_at"] - kept["created_at"] == pytest.approx(43_200)
    relay = start_relay(accounts={"registration": "invite"})
    client = relay.connect()
    answer = client.ask("NICK ann", f"REGISTER * invite:{link.token} :{PASSWORD}")
    assert answer[0].startswith("REGISTER SUCCESS ann ")


def test_what_is_said_of_an_invite(anywhere: Administrator) -> None:
    said = anywhere("invite", "--port", "1", "--uses", "1000").splitlines()
    assert re.fullmatch(r"  securechat://localhost:1/#token=[\w-]+,ca=[\w-]+", said[0])
    assert said[1:] == ["", said[2], "Who gets it opens it with: securechat-client 'LINK'"]
    assert re.fullmatch(r"It registers 1,000 accounts, until \d+-\d+-\d+ \d+:\d+ UTC\.", said[2])
    assert anywhere.complaint == (
        "securechat-server: the relay listens on this machine only, and so the link is for it\n"
    )


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--uses", "0"], "--uses must be from 1 to 1,000,000"),
        (["--uses", "1000001"], "--uses must be from 1 to 1,000,000"),
        (["--days", "0"], "--days must be above 0 and at most 36,500"),
        (["--days", "nan"], "--days must be above 0 and at most 36,500"),
        (["--days", "36501"], "--days must be above 0 and at most 36,500"),
        (["--port", "65536"], "--port must be from 1 to 65,535"),
        (["--account", "a b"], "--account a b: this cannot be an account's name"),
        (["--room", "home"], "--room home: this cannot be a room's name"),
    ],
)
def test_an_invite_that_cannot_be(anywhere: Administrator, flags: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        anywhere("invite", "--port", "1", *flags)
    with desk_on_files(anywhere.config) as desk:
        assert not desk.config.store.path.exists() or anywhere.json("invites", "--all") == []


def test_no_invite_for_an_account_that_there_is(order: Administrator, relay: RunningRelay) -> None:
    relay.account("ann")
    with pytest.raises(SecureChatError, match="there is an account Ann already"):
        order("invite", "--account", "Ann")


def test_nobody_is_invited_where_nobody_can_register(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = start_relay(accounts={"registration": "closed"})
    with pytest.raises(SecureChatError, match=r'nobody can be invited: .* is "closed"'):
        Administrator(relay.config, capsys)("invite")


# ---- where the link leads ----


@pytest.mark.parametrize(
    ("given", "host", "refused"),
    [
        ("", "chat.example.org", False),
        ("Other.Example.Org", "other.example.org", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("example.org", "example.org", True),
    ],
)
def test_the_host(on_files: Administrator, given: str, host: str, refused: bool) -> None:
    on_files.config = served(
        on_files.config, on_files.config.tls.certificate, ("127.0.0.1", 6697), ("0.0.0.0", 6697)
    )
    found = on_files.json("invite", *(["--host", given] if given else []))
    assert parse_invite_link(found["link"]).host == host
    names = "localhost, 127.0.0.1, chat.example.org, other.example.org"
    complaint = f"clients will refuse {host}: the relay's certificate is for {names}"
    assert found["warnings"] == [complaint] * refused
    assert on_files.complaint == f"securechat-server: {complaint}\n" * refused


@pytest.mark.parametrize(
    ("given", "warned"), [("a.example.net", False), ("a.b.example.net", True), ("net", True)]
)
def test_a_certificate_for_all_names_of_a_domain(
    on_files: Administrator, of_public_ca: Path, given: str, warned: bool
) -> None:
    on_files.config = served(on_files.config, of_public_ca)
    assert bool(on_files.json("invite", "--host", given)["warnings"]) is warned


def test_a_link_to_a_relay_of_a_public_ca_names_no_ca(
    on_files: Administrator, of_public_ca: Path
) -> None:
    on_files.config = served(on_files.config, of_public_ca, ("0.0.0.0", 6697))
    found = on_files.json("invite")
    assert found["ca"] is None
    link = parse_invite_link(found["link"])
    assert (link.host, link.ca) == ("chat.example.org", None)


def test_a_host_that_nobody_could_know(on_files: Administrator, tmp_path: Path) -> None:
    certificate = tmp_path / "local.pem"
    trustme.CA().issue_cert("localhost", "::1").private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    on_files.config = served(on_files.config, certificate, ("0.0.0.0", 6697))
    with pytest.raises(ConfigError, match="say by --host how others call the relay"):
        on_files("invite")
    with pytest.raises(ConfigError, match="--host: 'a b' is not a host name"):
        on_files("invite", "--host", "a b")


def test_a_port_that_nobody_could_know(on_files: Administrator) -> None:
    with pytest.raises(ConfigError, match="say by --port where others get to the relay"):
        on_files("invite")
    assert parse_invite_link(on_files.json("invite", "--port", "443")["link"]).port == 443


# ---- --qr, --explain ----


def test_a_qr_code(order: Administrator) -> None:
    pytest.importorskip("segno", reason="the extra qr is not installed")
    plain, picture = order("invite"), order("invite", "--qr")
    assert set("█▀▄ \n") <= set(picture)
    assert len(picture.splitlines()) > len(plain.splitlines()) + 20


def test_a_qr_code_without_what_draws_it(
    order: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was made then."""
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(ConfigError, match=r'--qr needs .* segno: pip install "securechat\[qr\]"'):
        order("invite", "--qr")
    assert order.json("invites") == []


def test_how_other_programs_are_used(order: Administrator, relay: RunningRelay) -> None:
    said = order("invite", "--explain", "--account", "ann")
    link = parse_invite_link(said.split()[0])
    assert relay.certificates.ca_file.read_text() in said
    assert f"invite:{link.token}:ann:PASSWORD" in said


# ---- invites ----


def test_the_list_of_invites(anywhere: Administrator) -> None:
    assert anywhere("invite", "--port", "1", "--uses", "3", "--account", "Ann") != ""
    assert anywhere("invite", "--port", "1", "--room", "#home") != ""
    first, second = anywhere.json("invites")
    assert re.fullmatch(r"[0-9a-f]{8}", first["id"])
    assert (first["account"], first["room"], first["uses"]) == ("Ann", "", 3)
    assert (second["account"], second["room"], second["uses"]) == ("", "#home", 1)
    head, *rows = anywhere("invites", "list").splitlines()
    assert head.split() == ["ID", "LEFT", "ENDS", "ACCOUNT", "ROOM"]
    assert [[*row.split()[:2], *row.split()[-2:]] for row in rows] == [
        [first["id"], "3/3", "Ann", "-"],
        [second["id"], "1/1", "any", "#home"],
    ]


def test_what_opens_nothing_is_listed_only_if_asked_for(on_files: Administrator) -> None:
    now = time.time()
    with desk_on_files(on_files.config) as desk:
        for token, uses, expires_at in (("ended", 5, now - 1), ("used", 0, now + 60)):

            def create(c: Any, token: str = token, uses: int = uses, at: float = expires_at) -> Any:
                return Invites(c).create(token, uses=uses, expires_at=at, created_at=now)

            desk.write(create)
    assert on_files("invites") == "There are no invites that open anything\n"
    assert len(on_files.json("invites", "--all")) == 2
    (used,) = [each for each in on_files.json("invites", "list", "--all") if each["uses"] == 0]
    on_files("invites", "withdraw", used["id"])
    (left,) = on_files.json("invites", "--all")
    on_files("invites", "withdraw", left["id"])
    assert on_files("invites", "--all") == "There are no invites\n"


def test_an_invite_that_is_withdrawn_opens_nothing(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = start_relay(accounts={"registration": "invite"}, wall_clock=time.time)
    order = Administrator(relay.config, capsys)
    made = order.json("invite")
    said = order("invites", "withdraw", made["id"].upper())
    assert said == f"The invite {made['id']} opens nothing any more\n"
    token = parse_invite_link(made["link"]).token
    answer = relay.connect().ask("NICK ann", f"REGISTER * invite:{token} :{PASSWORD}")
    assert answer[0].startswith("FAIL REGISTER INVALID_EMAIL ann ")
    with pytest.raises(SecureChatError, match="there is no invitation"):
        order("invites", "withdraw", made["id"])


# ---- the first one ----


@pytest.fixture
def invited_only(start_relay: StartRelay) -> RunningRelay:
    return start_relay(accounts={"registration": "invite"}, wall_clock=time.time)


def test_the_first_person_gets_in(invited_only: RunningRelay) -> None:
    desk = desk_at(invited_only.relay, None)
    link = first_invite(desk)
    assert link is not None
    assert first_invite(desk) is None, "there is one"
    token = parse_invite_link(link).token
    client = invited_only.connect()
    answer = client.ask("NICK ann", f"REGISTER * invite:{token} :{PASSWORD}")
    assert answer[0].startswith("REGISTER SUCCESS ann ")
    assert first_invite(desk) is None, "there is an account"


def test_a_first_invite_that_is_of_no_use_any_more(on_files: Administrator) -> None:
    config = served(on_files.config, on_files.config.tls.certificate)
    config = replace(config, accounts=replace(config.accounts, registration="invite"))
    with desk_on_files(config) as desk:
        now = desk.now().timestamp()
        desk.write(lambda c: Invites(c).create("a", uses=0, expires_at=now + 9, created_at=now))
        desk.write(lambda c: Invites(c).create("b", uses=1, expires_at=now - 9, created_at=now))
        assert first_invite(desk) is not None


def test_a_first_invite_that_cannot_be_made(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """The relay runs all the same."""
    relay = start_relay(accounts={"registration": "invite"})
    desk = desk_at(relay.relay, None)
    with caplog.at_level(logging.WARNING):
        elsewhere = replace(desk, config=served(desk.config, Path("nowhere.pem")))
        assert first_invite(elsewhere) is None
    assert "no invite was made for the first person: " in caplog.text
    for registration in ("closed", "open"):
        accounts = replace(desk.config.accounts, registration=registration)
        others = replace(desk, config=replace(desk.config, accounts=accounts))
        assert first_invite(others) is None
    assert first_invite(desk) is not None


def test_a_database_that_cannot_be_written(
    invited_only: RunningRelay,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The relay starts all the same: its log says what is wrong."""
    relay, order = invited_only, Administrator(invited_only.config, capsys)
    relay.relay.services.store.call(lambda c: c.execute("DROP TABLE invites") and None)
    with pytest.raises(SecureChatError, match="cannot list the invitations: no such table"):
        order("invites", "withdraw", "00000000")
    assert first_invite(desk_at(relay.relay, None)) is None
    assert "cannot list the invitations: no such table" in caplog.messages[-1]
