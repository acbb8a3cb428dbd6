"""What is found of certificate, keys and CA."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import trustme

from securechat import pki
from securechat.server.administration import certificate_checks
from securechat.server.config import Config
from tests.server.administration.checked_files import (
    HOST,
    NOW,
    change,
    found,
    make_certificate,
    one,
    posix_only,
)


@pytest.mark.parametrize(
    ("age_days", "level", "words"),
    [
        (0, "ok", "it is valid until"),
        (66, "ok", "for 14 days"),
        (67, "warning", "in 13 days. securechat-server cert renew"),
        (81, "problem", "it has expired on"),
    ],
)
def test_the_end_of_the_certificate(config: Config, age_days: int, level: str, words: str) -> None:
    make_certificate(config, now=NOW - timedelta(days=age_days - 0.5))
    line = found(certificate_checks.check_dates, config)[0]
    assert line.startswith(level)
    assert words in line


@pytest.mark.parametrize(
    ("age_days", "level"), [(3400, "ok"), (3500, "warning"), (3651, "problem")]
)
def test_the_end_of_the_ca(config: Config, age_days: int, level: str) -> None:
    make_certificate(config, now=NOW - timedelta(days=age_days))
    line = found(certificate_checks.check_dates, config)[1]
    assert line.startswith(f"{level} its CA ")


def test_a_key_of_another_certificate(config: Config) -> None:
    make_certificate(config)
    config.tls.key.write_bytes((config.tls.key.parent / "ca-key.pem").read_bytes())
    line = one(certificate_checks.check_files, config)
    assert line.startswith(f"problem {config.tls.key}: this key does not match")


@pytest.mark.parametrize(
    ("hosts", "changes", "expected"),
    [
        (("localhost",), {}, "ok it is for localhost"),
        ((HOST,), {}, f"warning it is only for {HOST}, and not for localhost"),
        (
            ("localhost",),
            {"server": {"listen": (("0.0.0.0", 6697),)}},
            "warning it is only for this machine itself, but others get to the relay",
        ),
        (
            ("localhost",),
            {"websocket": {"listen": (("192.0.2.7", 443),)}},
            "warning it is only for this machine itself",
        ),
        ((HOST,), {"server": {"listen": (("::", 6697), (HOST, 6698))}}, f"ok it is for {HOST}"),
        (
            (HOST,),
            {"server": {"listen": (("irc.example.org", 6697),)}},
            "warning it is not for irc.example.org, where the relay listens",
        ),
        (
            ("localhost", HOST),
            {"tls": {"sts_names": (HOST, "other.example.org")}},
            "problem it is not for other.example.org, which is in [tls] sts_names",
        ),
    ],
)
def test_names(
    config: Config, hosts: tuple[str, ...], changes: dict[str, Any], expected: str
) -> None:
    make_certificate(config, *hosts)
    assert one(certificate_checks.check_names, change(config, **changes)).startswith(expected)


def from_elsewhere(config: Config, *names: str, chain: bool = False) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert(*names, **({} if names else {"common_name": "nobody"}))
    config.tls.certificate.parent.mkdir(exist_ok=True)
    issued.cert_chain_pems[0].write_to_path(config.tls.certificate)
    issued.private_key_pem.write_to_path(config.tls.key)
    if chain:
        ca.cert_pem.write_to_path(config.tls.certificate, append=True)


def test_a_wildcard_stands_for_one_label(config: Config) -> None:
    from_elsewhere(config, "*.example.org", "localhost")
    names = (HOST, "a.b.example.org", "example.org")
    lines = found(certificate_checks.check_names, change(config, tls={"sts_names": names}))
    assert [line.split()[5].rstrip(",") for line in lines] == ["a.b.example.org", "example.org"]


def test_a_certificate_for_no_name(config: Config) -> None:
    from_elsewhere(config)
    line = one(certificate_checks.check_names, config)
    assert line.startswith("problem it is for no name at all")


@posix_only
@pytest.mark.parametrize(
    ("file", "mode", "level"),
    [
        ("server-key.pem", 0o600, "ok"),
        ("server-key.pem", 0o640, "ok"),
        ("server-key.pem", 0o644, "problem"),
        ("server-key.pem", 0o660, "problem"),
        ("ca-key.pem", 0o640, "problem"),
    ],
)
def test_who_can_read_the_keys(config: Config, file: str, mode: int, level: str) -> None:
    make_certificate(config)
    (config.tls.key.parent / file).chmod(mode)
    line = one(certificate_checks.check_keys, config)
    assert line.startswith(level)
    assert (file in line) == (level == "problem")


def test_a_ca_that_is_in_the_chain_is_given(config: Config) -> None:
    from_elsewhere(config, HOST, chain=True)
    line = one(certificate_checks.check_authority, config)
    assert line.startswith("ok it is given to clients that come with an invite")


def test_a_ca_that_is_not_here(config: Config) -> None:
    from_elsewhere(config, HOST)
    line = one(certificate_checks.check_authority, config)
    assert line.startswith("ok it is not here (")


def test_a_certificate_that_has_signed_itself(config: Config) -> None:
    pki.save_pair(pki.make_device(), pki.PairFiles(config.tls.certificate, config.tls.key))
    line = one(certificate_checks.check_authority, config)
    assert line.startswith("problem the certificate has signed itself and is none of a CA")


def test_a_ca_that_is_too_long(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificate(config)
    monkeypatch.setattr(certificate_checks, "CA_BYTES", 100)
    line = one(certificate_checks.check_authority, config)
    assert "bytes, and is too long to be given" in line
