"""What is found of the database, its folder and the disk."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import StoreError
from securechat.server.administration import checks, store_checks
from securechat.server.administration.desk import desk_on_files
from securechat.server.config import Config
from securechat.store.database import open_database
from tests.server.administration.checked_files import change, found, make_database, one, posix_only


def execute(config: Config, *statements: str) -> None:
    with closing(open_database(config.store.path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ((), "ok "),
        (("PRAGMA user_version = 4",), "ok schema version 4; the relay brings it to "),
        (("PRAGMA user_version = 999",), "has schema version 999, but this securechat knows only"),
        (("PRAGMA application_id = 7",), "is a database of some other program"),
    ],
)
def test_the_schema(config: Config, statements: tuple[str, ...], expected: str) -> None:
    execute(config, *statements)
    with desk_on_files(config) as desk:
        findings = checks._findings(store_checks.check_database, desk)
    ((level, text),) = [(finding.level, finding.text) for finding in findings]
    assert expected in f"{level} {text}"
    assert (level == "ok") == expected.startswith("ok")


def test_a_damaged_database(config: Config) -> None:
    make_database(config)
    data = bytearray(config.store.path.read_bytes())
    page = int.from_bytes(data[16:18], "big")
    data[4 * page : 5 * page] = b"\xff" * page
    config.store.path.write_bytes(data)
    with desk_on_files(config) as desk:
        findings = checks._findings(store_checks.check_content, desk)
    assert findings
    assert all(finding.level == "problem" for finding in findings)


def test_what_is_no_database(config: Config) -> None:
    config.store.path.write_text("buy milk\n" * 1000)
    with desk_on_files(config) as desk:
        (finding,) = checks._findings(store_checks.check_database, desk)
    assert finding.level == "problem"
    assert "file is not a database" in finding.text


def test_a_row_that_refers_to_nothing(config: Config) -> None:
    make_database(config)
    execute(config, "DELETE FROM conversations")
    line = one(store_checks.check_content, config)
    assert line.startswith("problem damaged: a row of messages refers to none of conversations")


@pytest.mark.parametrize(
    ("kind", "level"), [("ext4", "ok ext4, a database"), ("nfs4", "problem"), ("cifs", "problem")]
)
def test_a_file_system_on_a_network(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: str
) -> None:
    place = str(config.store.path.parent).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - xfs /dev/sda1 rw\n"
        f"30 22 0:40 / {place} rw,relatime shared:9 - {kind} server:/data rw\n"
        "31 22 0:41 / /elsewhere rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(store_checks, "_MOUNTS", mounts)
    assert store_checks.file_system_of(Path("/")) == "xfs"
    assert one(store_checks.check_file_system, config).startswith(level)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="there is no /proc")
def test_a_folder_where_no_file_can_be(config: Config) -> None:
    changed = change(config, store={"path": Path("/proc/self/relay.db")})
    with pytest.raises(StoreError, match="cannot write in /proc/self: "):
        found(store_checks.check_file_system, changed)


@posix_only
@pytest.mark.parametrize(
    ("file", "mode", "expected"),
    [
        (".", 0o700, "ok "),
        (".", 0o755, "ok "),
        (".", 0o770, "problem others may write in "),
        ("relay.db", 0o640, "problem others get at "),
        ("relay.db", 0o604, "problem others get at "),
        ("relay.db.lock", 0o666, "problem others get at "),
    ],
)
def test_rights(config: Config, file: str, mode: int, expected: str) -> None:
    make_database(config)
    (config.store.path.parent / file).chmod(mode)
    assert one(store_checks.check_rights, config).startswith(expected)


@posix_only
def test_a_file_that_root_has_made(config: Config) -> None:
    make_database(config)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(config.store.path, 12345, -1)
    line = one(store_checks.check_rights, config)
    assert line.startswith(f"problem {config.store.path} belongs to user 12345, but its folder to")


@posix_only
@pytest.mark.parametrize("denied", ["data", "relay.db"])
def test_what_this_user_cannot_use(
    config: Config, monkeypatch: pytest.MonkeyPatch, denied: str
) -> None:
    make_database(config)
    # Root, as whom this may run, is denied nothing.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != denied)
    line = one(store_checks.check_rights, config)
    assert line.startswith("problem ")
    assert f" by user {os.geteuid()}" in line


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("_DISK_LOW_BYTES", "warning only "),
        ("_DISK_LEAST_BYTES", "problem only "),
        ("_INODES_LEAST", "problem only "),
    ],
)
def test_a_disk_that_is_full(
    config: Config, monkeypatch: pytest.MonkeyPatch, limit: str, expected: str
) -> None:
    if limit == "_INODES_LEAST" and not os.statvfs(config.store.path.parent).f_files:
        pytest.skip("this file system has no limit of files")
    monkeypatch.setattr(store_checks, limit, 1 << 70)
    assert found(store_checks.check_disk, config)[-1].startswith(expected)


def test_the_disk_where_the_folder_will_be(config: Config, tmp_path: Path) -> None:
    changed = change(config, store={"path": tmp_path / "not" / "yet" / "relay.db"})
    assert found(store_checks.check_disk, changed)[0].startswith("ok ")


@pytest.mark.parametrize("name", [".unfinished-backup-x1", ".unfinished-restore-x2"])
def test_what_a_killed_backup_has_left(config: Config, name: str) -> None:
    left = config.store.path.with_name(name)
    left.mkdir()
    assert [line[:2] for line in found(store_checks.check_disk, config)] == ["ok"], "it is at work"
    os.utime(left, (1, 1))
    warned = found(store_checks.check_disk, config)[-1]
    assert warned.startswith(f"warning {left} is left of a backup that was killed")
