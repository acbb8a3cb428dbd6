from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from securechat import pki
from securechat.client.assistant.ca_file import (
    CA_BYTES,
    complete_path,
    find_ca,
    hashes_in,
    read_ca,
)
from securechat.errors import PkiError
from securechat.pki import ca_hash

NOW = datetime(2026, 7, 1, tzinfo=UTC)
CA = pki.make_ca(now=NOW)


def test_what_a_person_must_see_of_a_ca(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.certificate_pem)
    found = read_ca(str(file), now=NOW)
    assert (found.path, found.pem) == (file, CA.certificate_pem)
    (authority,) = found.authorities
    assert authority.name.startswith("securechat CA ")
    assert authority.fingerprint == pki.fingerprint(CA.certificate)
    assert (authority.not_after - authority.not_before).days == pki.CA_DAYS


def test_all_cas_of_a_file_are_shown(tmp_path: Path) -> None:
    others = [CA, pki.make_ca(now=NOW)]
    file = tmp_path / "cas.pem"
    file.write_bytes(b"".join(ca.certificate_pem for ca in others))
    found = read_ca(str(file), now=NOW)
    assert [one.fingerprint for one in found.authorities] == [
        pki.fingerprint(ca.certificate) for ca in others
    ]


def test_the_hashes_of_cas(tmp_path: Path) -> None:
    others = [CA, pki.make_ca(now=NOW)]
    file = tmp_path / "cas.pem"
    file.write_bytes(b"".join(ca.certificate_pem for ca in others))
    assert hashes_in(file) == {ca_hash(ca.certificate) for ca in others}
    assert ca_hash(CA.certificate).hex(":").upper() == pki.fingerprint(CA.certificate)
    file.write_bytes(b"hello")
    assert hashes_in(file) == hashes_in(tmp_path) == frozenset()


def test_a_file_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_bytes(CA.certificate_pem)
    assert read_ca("~/ca.pem", now=NOW).path == tmp_path / "ca.pem"
    assert complete_path("~/c") == "~/ca.pem"


SERVER = pki.issue_server(CA, ["chat.example.org"], now=NOW)


@pytest.mark.parametrize(
    ("content", "age", "says"),
    [
        (b"", timedelta(), "there is no certificate in this file"),
        (b"hello", timedelta(), "there is no certificate in this file"),
        (CA.key_pem, timedelta(), "there is no certificate in this file"),
        (CA.certificate_pem + b"#" * CA_BYTES, timedelta(), "there is no certificate in this file"),
        (SERVER.certificate_pem, timedelta(), "not that of a CA"),
        (pki.make_device().certificate_pem, timedelta(), "not that of a CA"),
        (CA.certificate_pem, timedelta(days=pki.CA_DAYS + 1), "has expired on 2036-06-28"),
        (CA.certificate_pem, -timedelta(days=1), "is valid only from 2026-06-30: is the clock"),
    ],
    # The keys are others each time: not in the names of the tests.
    ids=["empty", "text", "key", "large", "server", "device", "expired", "future"],
)
def test_what_is_no_ca(content: bytes, age: timedelta, says: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(PkiError, match=says):
        read_ca(str(file), now=NOW + age)


@pytest.mark.parametrize("name", ["", "missing.pem", "folder", "pipe", "a\0b", "~nobody-here/ca"])
def test_what_is_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    text = name if name.startswith("~") else os.path.join(tmp_path, name)
    with pytest.raises(PkiError, match="there is no file"):
        read_ca(text, now=NOW)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.certificate_pem)
    file.chmod(0)
    with pytest.raises(PkiError, match="cannot be read"):
        read_ca(str(file), now=NOW)


def test_the_name_of_a_file_is_made_safe() -> None:
    with pytest.raises(PkiError, match="there is no file /no\N{REPLACEMENT CHARACTER}such"):
        read_ca("/no\x1bsuch", now=NOW)


def test_the_ca_of_a_relay_made_here_is_found(tmp_path: Path) -> None:
    assert find_ca(tmp_path) is None
    (tmp_path / "certs").mkdir()
    assert find_ca(tmp_path) is None
    (tmp_path / "certs" / "ca.pem").write_bytes(CA.certificate_pem)
    assert find_ca(tmp_path) == tmp_path / "certs" / "ca.pem"


def test_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").touch()
    (tmp_path / "ce.txt").touch()
    (tmp_path / "x\x1b[0m").touch()
    monkeypatch.chdir(tmp_path)
    assert complete_path("c") == "ce.txt"
    assert complete_path("cer") == "certs/"
    assert complete_path("certs/") is None
    assert complete_path("certs/c") == "certs/ca.pem"
    assert complete_path(f"{tmp_path}/certs/c") == f"{tmp_path}/certs/ca.pem"
    for text in ("", "z", "no/such", "ce.txt/a", "x", "a\0b/c", "~nobody-here/x"):
        assert complete_path(text) is None
