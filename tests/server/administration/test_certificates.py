"""``securechat-server cert``: what it makes, renews and tells, on files and at a running relay."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from securechat import pki
from securechat.errors import ConfigError, PkiError
from securechat.server.administration import certificates
from securechat.server.administration.console import run_tool
from securechat.server.administration.desk import Desk
from securechat.server.config import Config, StoreConfig, TlsConfig
from tests.server.administration.command_line import parse
from tests.server.conftest import StartRelay

NOW = datetime.now(UTC)
HOST = "chat.example.org"

posix_only = pytest.mark.skipif(os.name != "posix", reason="there are no Unix sockets")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


def config_in(folder: Path) -> Config:
    files = pki.server_files(folder / "certs")
    return Config(
        tls=TlsConfig(certificate=files.certificate, key=files.key),
        store=StoreConfig(path=folder / "relay.db"),
    )


def run(config: Config, *words: str) -> int:
    options = parse(certificates.TOOLS, "cert", *words)
    return run_tool(options.tool, options, config)


def certificate_of(config: Config) -> Any:
    return pki.load_certificate(config.tls.certificate)


def from_elsewhere(config: Config) -> bytes:
    """Have the configured files be of some other CA, as an ACME client puts them there."""
    issued = trustme.CA().issue_cert(HOST)
    config.tls.certificate.parent.mkdir()
    issued.cert_chain_pems[0].write_to_path(config.tls.certificate)
    issued.private_key_pem.write_to_path(config.tls.key)
    return config.tls.certificate.read_bytes()


# ---- make ----


def test_make_makes_all(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "make", "--host", HOST, "--host", "192.0.2.7", "--days", "30") == 0
    assert sorted(path.name for path in config.tls.certificate.parent.iterdir()) == [
        "ca-key.pem",
        "ca.pem",
        "server-key.pem",
        "server.pem",
    ]
    assert pki.hosts_of(certificate_of(config)) == (HOST, "192.0.2.7")
    ca = config.tls.certificate.with_name("ca.pem")
    assert capsys.readouterr().out.splitlines() == [
        f"made {ca}",
        f"made {config.tls.certificate}",
        f"it is for {HOST}, 192.0.2.7; 30 days are left",
        f"CA fingerprint (SHA-256): {pki.fingerprint(ca.read_bytes())}",
    ]


def test_a_certificate_is_for_this_machine_where_nothing_is_said(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "laptop")
    run(config, "make")
    assert pki.hosts_of(certificate_of(config)) == ("localhost", "127.0.0.1", "::1", "laptop")


def test_make_again_changes_nothing(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    run(config, "make")
    before = config.tls.certificate.read_bytes()
    capsys.readouterr()
    assert run(config, "make") == 0
    assert config.tls.certificate.read_bytes() == before
    assert capsys.readouterr().out.startswith(f"all is there already: {config.tls.certificate}\n")


def test_make_does_not_give_what_was_asked_for_by_accident(config: Config) -> None:
    run(config, "make", "--host", "localhost")
    with pytest.raises(PkiError, match=f"is not for {HOST}: renew it"):
        run(config, "make", "--host", HOST)


def test_make_leaves_a_certificate_from_elsewhere_alone(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    before = from_elsewhere(config)
    assert run(config, "make") == 0
    assert config.tls.certificate.read_bytes() == before
    assert len(list(config.tls.certificate.parent.iterdir())) == 2
    assert "comes from elsewhere and stays as it is" in capsys.readouterr().out


def test_a_name_under_which_none_can_be_made(config: Config, tmp_path: Path) -> None:
    other = replace(config.tls, certificate=tmp_path / "fullchain.pem")
    with pytest.raises(PkiError, match=r'fullchain.pem does not exist.*certificate = ".*server.p'):
        run(replace(config, tls=other), "make")
    assert list(tmp_path.iterdir()) == []


# ---- renew ----


@pytest.mark.parametrize(
    ("flags", "hosts"), [((), (HOST,)), (("--host", "new.example.org"), ("new.example.org",))]
)
def test_renew_keeps_ca_and_names(
    config: Config, flags: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    run(config, "make", "--host", HOST)
    before = pki.load_pair(pki.server_files(config.tls.certificate.parent))
    ca = config.tls.certificate.with_name("ca.pem").read_bytes()
    assert run(config, "renew", *flags) == 0
    after = pki.load_pair(pki.server_files(config.tls.certificate.parent))
    assert pki.hosts_of(after.certificate) == hosts
    assert after.key.public_key() != before.key.public_key()
    assert config.tls.certificate.with_name("ca.pem").read_bytes() == ca


def test_renew_mends_a_key_that_does_not_match(config: Config) -> None:
    """As a crash between the two files leaves them."""
    run(config, "make")
    folder = config.tls.certificate.parent
    config.tls.key.write_bytes((folder / "ca-key.pem").read_bytes())
    assert run(config, "renew") == 0
    assert pki.load_pair(pki.server_files(folder)).certificate == certificate_of(config)


def test_renew_says_that_it_is_renewed_where_it_comes_from(config: Config) -> None:
    before = from_elsewhere(config)
    with pytest.raises(PkiError, match=r"renew it where it comes from.*takes the new files by its"):
        run(config, "renew")
    assert config.tls.certificate.read_bytes() == before


def test_nothing_to_renew_from(config: Config) -> None:
    with pytest.raises(PkiError, match="there is no CA to renew from"):
        run(config, "renew")


def test_a_ca_that_was_replaced_is_not_its_ca(config: Config) -> None:
    run(config, "make")
    pki.save_pair(pki.make_ca(now=NOW), pki.ca_files(config.tls.certificate.parent), replace=True)
    with pytest.raises(PkiError, match="was not made by a CA in"):
        run(config, "renew")


# ---- arguments ----


@pytest.mark.parametrize("days", ["0", "-1", "3651", "many", "1.5"])
def test_days_that_cannot_be(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(certificates.TOOLS, "cert", "make", "--days", days)
    assert caught.value.code == 2
    assert "from 1 to 3650" in capsys.readouterr().err


def test_a_host_that_is_none(config: Config) -> None:
    with pytest.raises(ConfigError, match="--host: 'my_laptop' is not a host name"):
        run(config, "make", "--host", "my_laptop")
    assert not config.tls.certificate.parent.exists()


@pytest.mark.parametrize(
    "arguments", [{"hosts": "x"}, {"hosts": [1]}, {"days": "1"}, {"days": True}]
)
def test_arguments_that_no_console_makes(config: Config, arguments: dict[str, Any]) -> None:
    desk = Desk(config, lambda work: pytest.fail("nothing is written"))
    with pytest.raises(ConfigError):
        certificates.TOOLS[0].work(desk, arguments)


# ---- status ----


@pytest.mark.parametrize(
    ("age_days", "code", "words"),
    [
        (0, 0, "80 days are left"),
        (66, 0, "14 days are left"),
        (67, 1, "it ends in 13 days; renew it"),
        (81, 1, "it HAS EXPIRED, no client connects; renew it"),
    ],
)
def test_status(
    config: Config,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    age_days: int,
    code: int,
    words: str,
) -> None:
    run(config, "make", "--host", HOST)
    made = certificate_of(config).not_valid_before_utc + timedelta(hours=1)  # it is backdated
    monkeypatch.setattr(Desk, "now", lambda self: made + timedelta(days=age_days))
    capsys.readouterr()
    assert run(config, "status") == code
    text = capsys.readouterr().out
    assert words in text
    for part in (HOST, "CN=securechat CA ", pki.fingerprint(certificate_of(config)), "(0600)"):
        assert part in text


def test_status_as_json(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    run(config, "make", "--host", HOST)
    ca = config.tls.certificate.with_name("ca.pem").read_bytes()
    capsys.readouterr()
    assert run(config, "status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["names"] == [HOST]
    assert told["days_left"] == 79, "the first of 80 has begun"
    assert told["sha256"] == pki.fingerprint(certificate_of(config))
    assert told["ca"]["sha256"] == pki.fingerprint(ca)
    assert datetime.fromisoformat(told["until"]) == certificate_of(config).not_valid_after_utc
    if os.name == "posix":
        assert told["key_mode"] == "0600"


def test_status_of_one_from_elsewhere(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    from_elsewhere(config)
    config.tls.key.unlink()
    assert run(config, "status") == 0
    text = capsys.readouterr().out
    assert "not with it: clients must know it already" in text
    assert "(cannot be found)" in text


def test_status_of_none(config: Config) -> None:
    with pytest.raises(PkiError, match="does not exist"):
        run(config, "status")


# ---- a relay that runs ----


@posix_only
def test_a_running_relay_takes_what_was_renewed(
    start_relay: StartRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_in(tmp_path)
    run(config, "make", "--host", "localhost")
    relay = start_relay(
        tls={"certificate": config.tls.certificate, "key": config.tls.key},
        wall_clock=(NOW - timedelta(minutes=1)).timestamp,
    )
    old = relay.relay.certificate.not_after
    assert run(relay.config, "renew", "--days", "100") == 0
    new = relay.relay.certificate.not_after
    assert new == certificate_of(config).not_valid_after_utc > old
    assert capsys.readouterr().out.endswith("\nthe certificate is valid for 100 days\n")


@posix_only
def test_a_reload_that_fails_is_told_and_the_certificate_is_there(
    start_relay: StartRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Config:
        raise ConfigError(["[server] name = 1: must be a name"])

    config = config_in(tmp_path)
    run(config, "make", "--host", "localhost")
    tls = {"certificate": config.tls.certificate, "key": config.tls.key}
    relay = start_relay(tls=tls, load_config=broken)
    before = certificate_of(config)
    assert run(relay.config, "renew") == 0
    told = capsys.readouterr().out
    assert told.endswith("; a reload failed: [server] name = 1: must be a name\n")
    assert certificate_of(config) != before
