"""backup and restore: of a relay that runs, of one that is stopped; and what is no backup."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from securechat import __version__
from securechat.errors import ConfigError, SecureChatError, StoreError
from securechat.server.administration import backups
from securechat.server.administration.desk import desk_on_files
from securechat.server.administration.remote import ask_relay, connect_to_relay
from securechat.server.config import Config, StoreConfig, TlsConfig
from securechat.store.accounts import Accounts
from securechat.store.database import open_database
from securechat.store.migrations import MIGRATIONS
from tests.server.administration.administrator import Administrator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    PASSWORD,
    Certificates,
    RunningRelay,
    make_certificates,
    make_config,
)

BACKUP = {tool.name: tool for tool in backups.TOOLS}["backup"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The configuration of a relay that has a folder of certificates for itself."""
    folder = tmp_path / "certs"
    folder.mkdir()
    certificates = make_certificates(folder)
    (folder / "ca-key.pem").write_bytes(certificates.ca.private_key_pem.bytes())
    (folder / "ca-key.pem").chmod(0o600)
    pem = certificates.server_file.read_bytes()
    start = pem.index(b"-----BEGIN CERTIFICATE")
    (folder / "server.pem").write_bytes(pem[start:])
    (folder / "server-key.pem").write_bytes(pem[:start])
    made = make_config(certificates, tmp_path / "data" / "relay.db")
    return replace(made, tls=TlsConfig(folder / "server.pem", folder / "server-key.pem"))


@pytest.fixture
def order(config: Config, capsys: pytest.CaptureFixture[str]) -> Administrator:
    """Somebody who gives commands where ann has an account, and no relay runs."""
    order = Administrator(config, capsys)
    order("account", "add", "ann", stdin=PASSWORD)
    return order


@pytest.fixture
def file(order: Administrator, tmp_path: Path) -> Path:
    """A backup of that."""
    file = tmp_path / "good.tar.gz"
    order("backup", str(file))
    return file


def elsewhere(config: Config, folder: Path) -> Config:
    """Return the configuration of a relay on another machine, with nothing there yet."""
    tls = TlsConfig(folder / "certs" / "server.pem", folder / "certs" / "server-key.pem")
    return replace(config, store=StoreConfig(folder / "data" / "chat.db"), tls=tls)


def contents(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


def tree(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, but for the lock that stays."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if path.suffix != ".lock"
    }


# ---- backup ----


def test_what_is_in_a_backup(order: Administrator, tmp_path: Path) -> None:
    settings = tmp_path / "relay.toml"
    settings.write_text("# mine\n")
    file = tmp_path / "chat.tar.gz"
    before = tree(tmp_path)
    said = order("backup", "--config", str(settings), str(file))
    files = ["securechat.db", "server.pem", "server-key.pem", "ca.pem", "ca-key.pem"]
    files.append("securechat.toml")
    assert said.splitlines()[0] == f"{file}: {', '.join(files)}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = contents(file)
    assert list(found) == [*files, "manifest.json"]
    assert found["securechat.toml"] == b"# mine\n"
    assert found["ca-key.pem"] == (tmp_path / "certs" / "ca-key.pem").read_bytes()
    about = json.loads(found.pop("manifest.json"))
    assert (about["format"], about["securechat"]) == (1, __version__)
    assert about["schema"] == len(MIGRATIONS)
    assert about["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert tree(tmp_path).keys() - before.keys() == {"chat.tar.gz"}


def test_a_backup_of_a_relay_that_runs(
    relay: RunningRelay, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What was said before is in it; that others write meanwhile does not matter."""
    ann = relay.account("ann", "echo-message")
    ann.ask("JOIN #home")
    ann.send("PRIVMSG #home :hello")
    ann.expect("PRIVMSG", "#home")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"name{number}"
            relay.relay.services.store.call(
                lambda c, name=name: Accounts(c).create(name, name, "", "", 1.0)  # type: ignore[misc]
            )

    writer = threading.Thread(target=write)
    writer.start()
    file = tmp_path / "chat.tar.gz"
    try:
        Administrator(relay.config, capsys)("backup", str(file))
    finally:
        stop.set()
        writer.join()
    names = ["securechat.db", "server.pem", "server-key.pem", "ca.pem", "manifest.json"]
    assert list(contents(file)) == names
    relay.stop()
    other = elsewhere(relay.config, tmp_path / "other")
    other = replace(other, tls=relay.config.tls)
    Administrator(other, capsys)("restore", str(file))
    again = RunningRelay(other, relay.certificates)
    try:
        client = again.login("ann", "batch", "draft/chathistory")
        client.ask("JOIN #home")
        assert any("hello" in line for line in client.ask("CHATHISTORY LATEST #home * 9"))
    finally:
        again.stop()


def test_a_configuration_that_the_relay_may_not_read(order: Administrator, tmp_path: Path) -> None:
    said = order("backup", "--config", str(tmp_path / "none.toml"), str(tmp_path / "a.tar.gz"))
    assert "securechat.toml" not in said
    assert order.complaint == (
        "securechat-server: the configuration is not in it: the relay may not read "
        f"{tmp_path}/none.toml\n"
    )


def test_a_backup_of_nothing(
    config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"there is no database .*relay\.db yet"):
        Administrator(config, capsys)("backup", str(tmp_path / "a.tar.gz"))
    assert not (tmp_path / "a.tar.gz").exists()


def test_a_backup_overwrites_nothing(order: Administrator, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("precious")
    with pytest.raises(ConfigError, match=r"a\.tar\.gz: cannot be made \(File exists\)"):
        order("backup", str(tmp_path / "a.tar.gz"))
    assert (tmp_path / "a.tar.gz").read_text() == "precious"


def test_a_certificate_that_is_none(order: Administrator, tmp_path: Path) -> None:
    order.config.tls.certificate.write_bytes(b"x" * 1_048_577)
    with pytest.raises(StoreError, match=r"server\.pem is too large to be what it should be"):
        order("backup", str(tmp_path / "a.tar.gz"))
    assert not (tmp_path / "a.tar.gz").exists()


needs_full_disk = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="this system has no /dev/full"
)


@needs_full_disk
def test_a_full_disk(order: Administrator, tmp_path: Path) -> None:
    before = tree(tmp_path)
    full = open("/dev/full", "wb")  # noqa: SIM115 - it cannot be closed in good order
    with (
        desk_on_files(order.config, full) as desk,
        pytest.raises(StoreError, match=r"cannot write the backup: .*No space left"),
    ):
        BACKUP.work(desk, {"configuration": ""})
    with pytest.raises(OSError, match="No space left"):
        full.close()
    assert tree(tmp_path) == before


@needs_full_disk
def test_a_full_disk_under_a_relay_that_runs(relay: RunningRelay, tmp_path: Path) -> None:
    """It tells so, and lives on."""
    for _ in range(2):
        connection = connect_to_relay(relay.config)
        assert connection is not None
        with (
            connection,
            open("/dev/full", "wb", buffering=0) as full,
            pytest.raises(SecureChatError, match=r"cannot write the backup: .*No space left"),
        ):
            ask_relay(connection, BACKUP, {"configuration": ""}, full)
    assert not list(tmp_path.glob(".unfinished-*"))
    assert relay.join("ann").nick == "ann"


def test_no_room_for_the_copy(order: Administrator, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no such limits")
    before = tree(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot copy the database"):
            order("backup", str(tmp_path / "a.tar.gz"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tree(tmp_path) == before


# ---- restore ----


def test_a_relay_is_put_on_another_machine(
    order: Administrator, file: Path, tmp_path: Path
) -> None:
    other = order.config = elsewhere(order.config, tmp_path / "other")
    said = order("restore", str(file))
    names = ["server.pem", "server-key.pem", "ca.pem", "ca-key.pem"]
    places = [other.store.path, *(other.tls.certificate.with_name(name) for name in names)]
    lines = said.splitlines()
    assert lines[0].startswith("Restored as it was on 20")
    assert lines[0].endswith(f", by securechat {__version__}:")
    assert lines[1:] == [f"  {place}" for place in places]
    assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [
        0o600,
        0o644,
        0o600,
        0o644,
        0o600,
    ]
    for name in names:
        before = (tmp_path / "certs" / name).read_bytes()
        assert other.tls.certificate.with_name(name).read_bytes() == before
    assert [each["name"] for each in order.json("account", "list")] == ["ann"]
    files = {path.name for path in (tmp_path / "other").rglob("*") if path.is_file()}
    assert files == {"chat.db", "chat.db.lock", *names}


def test_the_configuration_is_left_to_the_person(order: Administrator, tmp_path: Path) -> None:
    settings, file = tmp_path / "relay.toml", tmp_path / "chat.tar.gz"
    settings.write_text("# mine\n")
    order("backup", "--config", str(settings), str(file))
    order.config = elsewhere(order.config, tmp_path / "other")
    assert order("restore", str(file)).splitlines()[-1] == (
        f"The configuration is yours to put back: tar -xzf {file} securechat.toml"
    )


def test_nothing_is_overwritten_but_by_force(
    order: Administrator, file: Path, tmp_path: Path
) -> None:
    order("account", "add", "bob", stdin=PASSWORD)
    key = order.config.tls.key
    key.write_bytes(trustme.CA().private_key_pem.bytes())
    before = tree(tmp_path)
    with pytest.raises(SecureChatError) as refused:
        order("restore", str(file))
    assert str(refused.value) == (
        "there is something else already, which --force puts aside: "
        f"{order.config.store.path}, {key}"
    )
    assert tree(tmp_path) == before
    said = order("restore", "--force", str(file)).splitlines()
    assert said[1:3] == [f"  {order.config.store.path}", f"  {key}"]
    aside = [Path(line.removeprefix("Put aside: ")) for line in said[3:]]
    assert [path.name.partition(".before-restore-20")[0] for path in aside] == [
        "relay.db",
        "server-key.pem",
    ]
    assert aside[1].read_bytes() == before["certs/server-key.pem"]
    assert [each["name"] for each in order.json("account", "list")] == ["ann"]
    with closing(open_database(aside[0])) as connection:
        assert [name for _, name in Accounts(connection).names()] == ["ann", "bob"]


def test_what_was_not_in_the_old_file_yet_is_put_aside_with_it(
    order: Administrator, file: Path
) -> None:
    """A relay that was killed leaves a log of transactions; it must not get into the new file."""
    path = order.config.store.path
    with closing(open_database(path)) as connection:
        Accounts(connection).create("bob", "bob", "", "", 1.0)
        log, shared = path.with_name("relay.db-wal"), path.with_name("relay.db-shm")
        old, old_log = path.read_bytes(), log.read_bytes()
    path.write_bytes(old)
    log.write_bytes(old_log)
    shared.write_bytes(b"")
    order("restore", "--force", str(file))
    assert [each["name"] for each in order.json("account", "list")] == ["ann"]
    (aside,) = path.parent.glob("relay.db.before-restore-*Z")
    with closing(open_database(aside)) as connection:
        assert [name for _, name in Accounts(connection).names()] == ["ann", "bob"]


def test_not_while_a_relay_runs(
    order: Administrator, file: Path, start_relay: StartRelay, relay_certificates: Certificates
) -> None:
    relay = RunningRelay(order.config, relay_certificates)
    try:
        with pytest.raises(SecureChatError, match=r"a relay runs with .*relay\.db: stop it first"):
            order("restore", "--force", str(file))
    finally:
        relay.stop()
    with (
        closing(open_database(order.config.store.path)),  # a relay without a socket
        pytest.raises(SecureChatError, match="in use by another relay: stop that one first"),
    ):
        order("restore", "--force", str(file))
    order("restore", "--force", str(file))


def test_no_room_for_what_is_restored(order: Administrator, file: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no such limits")
    before = tree(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot unpack .*good\.tar\.gz: "):
            order("restore", "--force", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tree(tmp_path) == before


def test_one_file_for_certificate_and_key(order: Administrator, file: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    tls = order.config.tls
    both.write_bytes(tls.key.read_bytes() + tls.certificate.read_bytes())
    separate = order.config
    order.config = replace(separate, tls=TlsConfig(both, both))
    combined = tmp_path / "combined.tar.gz"
    order("backup", str(combined))
    with pytest.raises(SecureChatError, match=r"one file for server\.pem and server-key\.pem"):
        order("restore", "--force", str(file))
    both.unlink()
    order("restore", "--force", str(combined))
    assert stat.S_IMODE(both.stat().st_mode) == 0o600
    assert b"BEGIN CERTIFICATE" in both.read_bytes()


def test_a_ca_of_clients_that_is_another(order: Administrator, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "clients.pem")
    tls = replace(order.config.tls, client_ca=tmp_path / "clients.pem")
    order.config = replace(order.config, tls=tls)
    order("backup", str(tmp_path / "a.tar.gz"))
    before = (tmp_path / "clients.pem").read_bytes()
    (tmp_path / "clients.pem").unlink()
    order("restore", "--force", str(tmp_path / "a.tar.gz"))
    assert (tmp_path / "clients.pem").read_bytes() == before


# ---- what is no backup ----

Parts = list[tuple[tarfile.TarInfo, bytes]]


def part(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    if kind == tarfile.SYMTYPE:
        info.linkname = "/etc/passwd"
    return info, data


def with_manifest(parts: Parts, **changes: object) -> Parts:
    """Return ``parts`` with a manifest that is right for them, but for ``changes``."""
    files = {
        info.name: hashlib.sha256(data).hexdigest()
        for info, data in parts
        if info.name != "manifest.json"
    }
    about = {"format": 1, "securechat": "9.9", "schema": 1, "made": "now", "files": files}
    kept = [each for each in parts if each[0].name != "manifest.json"]
    return [*kept, part("manifest.json", json.dumps(about | changes).encode())]


def newer_database(parts: Parts) -> Parts:
    """The version of the schema is at byte 60 of the file (https://sqlite.org/fileformat2.html)."""
    (info, data), *rest = parts
    return with_manifest([part(info.name, data[:60] + b"\0\0\3\xe8" + data[64:]), *rest])


CHANGES: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "no manifest": (lambda parts: parts[:-1], "is not a whole backup: its end is missing"),
    "another file": (
        lambda parts: [(parts[0][0], b"x" + parts[0][1][1:]), *parts[1:]],
        "not as it was written: securechat.db",
    ),
    "a file too many": (
        lambda parts: [*parts[:-1], part("securechat.toml"), parts[-1]],
        "not as it was written: securechat.toml",
    ),
    "a file missing": (
        lambda parts: parts[1:],
        "not as it was written: securechat.db",
    ),
    "no database": (
        lambda parts: with_manifest(parts[1:]),
        "not as it was written: securechat.db",
    ),
    "a path": (
        lambda parts: with_manifest([part("../../evil", b"x"), *parts]),
        "there is no place for '../../evil' in one",
    ),
    "an absolute path": (
        lambda parts: with_manifest([part("/tmp/evil", b"x"), *parts]),
        "there is no place for '/tmp/evil' in one",
    ),
    "a link": (
        lambda parts: with_manifest([part("ca-key.pem", b"", tarfile.SYMTYPE), *parts[:1]]),
        "ca-key.pem is not a file",
    ),
    "the same twice": (
        lambda parts: with_manifest([*parts, parts[1]]),
        "there is no place for 'server.pem' in one",
    ),
    "too large": (
        lambda parts: with_manifest([*parts[:1], part("ca.pem", b"x" * 1_048_577)]),
        "ca.pem is too large",
    ),
    "a newer format": (
        lambda parts: with_manifest(parts, format=2),
        "was made by securechat 9.9, which is newer than this one",
    ),
    "a strange manifest": (
        lambda parts: with_manifest(parts, files=None),
        "its manifest cannot be read",
    ),
    "a manifest with strange hashes": (
        lambda parts: with_manifest(parts, files={"securechat.db": []}),
        "not as it was written: ",
    ),
    "no JSON": (
        lambda parts: [*parts[:-1], part("manifest.json", b"{")],
        "its manifest cannot be read",
    ),
    "another database": (
        lambda parts: with_manifest([part("securechat.db", b"no database" * 99), *parts[1:]]),
        "file is not a database",
    ),
    "a newer database": (newer_database, "this securechat knows only versions up to"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_right_changes_nothing(
    order: Administrator,
    file: Path,
    tmp_path: Path,
    name: str,
) -> None:
    change, reason = CHANGES[name]
    bad = tmp_path / "bad.tar.gz"
    parts = change([part(name, data) for name, data in contents(file).items()])
    with tarfile.open(bad, "w:gz") as tar:
        for info, data in parts:
            tar.addfile(info, io.BytesIO(data))
    before = tree(tmp_path)
    with pytest.raises(SecureChatError) as refused:
        order("restore", "--force", str(bad))
    assert reason in str(refused.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[: len(data) // 2], "is not a whole backup"),
        (lambda data: data[:-1_000] + b"x" + data[-999:], "is not a whole backup"),
        (lambda data: b"", "is not a whole backup"),
        (lambda data: b"hello", "is not a whole backup"),
        (None, "cannot unpack"),
    ],
    ids=["half", "changed", "empty", "text", "missing"],
)
def test_a_damaged_file_changes_nothing(
    order: Administrator,
    file: Path,
    tmp_path: Path,
    change: Callable[[bytes], bytes] | None,
    reason: str,
) -> None:
    bad = tmp_path / "bad.tar.gz"
    if change is not None:
        bad.write_bytes(change(file.read_bytes()))
    before = tree(tmp_path)
    with pytest.raises(StoreError, match=reason):
        order("restore", "--force", str(bad))
    assert tree(tmp_path) == before


def test_a_backup_may_be_unpacked_and_packed_by_hand(
    order: Administrator, file: Path, tmp_path: Path
) -> None:
    """It is a tar like any other, compressed or not."""
    plain = tmp_path / "plain.tar"
    with tarfile.open(plain, "w") as tar:
        for name, data in contents(file).items():
            tar.addfile(part(name, data)[0], io.BytesIO(data))
    order("restore", "--force", str(plain))
    assert [each["name"] for each in order.json("account", "list")] == ["ann"]
