"""Checks of the database, its folder and the disk below; ``service_checks`` of a PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from securechat.errors import ConfigError, StoreError
from securechat.server.administration.backup_file import TEMPORARY_PREFIXES
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Finding, ok, problem, warning
from securechat.store.database import read_only, store_errors
from securechat.store.entries import COUNT_BITS
from securechat.store.migrations import MIGRATIONS, check_schema

__all__ = [
    "check_content",
    "check_database",
    "check_disk",
    "check_file_system",
    "check_rights",
    "file_system_of",
    "newest_message_ms",
]

_DISK_LEAST_BYTES: Final = 64 << 20
"""Free space below which it is a question of hours: the write-ahead log alone may need as much
while a backup reads."""

_DISK_LOW_BYTES: Final = 512 << 20
"""Free space from which on it is warned of: half a million messages, or time to tidy up."""

_INODES_LEAST: Final = 100
"""Files that must still fit. The relay makes some ten; but whoever has filled the file system will
go on."""

_LEFT_AFTER_MS: Final = 86_400_000
"""How old a folder of a backup is, in milliseconds, when nobody works with it any more."""

_SHOWN: Final = 5
"""Damages that are told of, at most: one is enough to act."""

_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3"}
)
""""All processes using a database must be on the same host computer; WAL does not work over a
network filesystem" (https://www.sqlite.org/wal.html)."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


def newest_message_ms(desk: Desk) -> int | None:
    """Return of when the newest message in the database is, in milliseconds since 1970 UTC.

    ``None`` if there is none, or it cannot be read.
    """
    store = desk.config.store
    with (
        contextlib.suppress(ConfigError, StoreError),
        desk.reading() if store.url is not None else read_only(store.path) as connection,
    ):
        (newest,) = connection.execute("SELECT max(id) FROM messages").fetchone()
        return None if newest is None else int(newest) >> COUNT_BITS
    return None


def check_database(desk: Desk) -> Iterator[Finding]:
    """Check that the database is one of ours, and of a version that this program knows."""
    if desk.config.store.url is not None:
        return
    path = desk.config.store.path
    if not path.exists():
        yield ok(f"there is no {path} yet; the relay makes it")
        return
    with read_only(path) as connection:
        check_schema(connection, path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < len(MIGRATIONS):
        yield ok(f"schema version {version}; the relay brings it to {len(MIGRATIONS)}")
    else:
        yield ok(f"{path}, schema version {version}")


def check_content(desk: Desk) -> Iterator[Finding]:
    """Check that nothing in the database is damaged. Reads all of it."""
    if desk.config.store.url is not None:
        return
    path = desk.config.store.path
    if not path.exists():
        return
    with read_only(path) as connection:
        rows = connection.execute(f"PRAGMA quick_check({_SHOWN})").fetchall()
        damages = [text for (text,) in rows if text != "ok"]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    damages += [f"a row of {table} refers to none of {parent}" for table, _, parent, _ in orphans]
    advice = "Put back a backup: securechat-server restore FILE"
    yield from [problem(f"damaged: {damage}", advice) for damage in damages] or [ok("undamaged")]


def check_file_system(desk: Desk) -> Iterator[Finding]:
    """Check that the database can be used as it must be (WAL) where it lies."""
    if desk.config.store.url is not None:
        return
    folder = _existing(desk.config.store.path.parent)
    kind = file_system_of(folder)
    advice = "[store] path, or --data: a folder on a disk of this machine"
    if kind in _NETWORK_FILE_SYSTEMS:
        yield problem(f"{folder} is on a network ({kind}), where the database gets damaged", advice)
        return
    with (
        store_errors(f"write in {folder}"),
        tempfile.TemporaryDirectory(dir=folder) as trial,
        contextlib.closing(sqlite3.connect(Path(trial, "trial.db"))) as connection,
    ):
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("CREATE TABLE trial (value)")
    if mode != "wal":
        yield problem(f"{folder} has no shared memory for a database (WAL)", advice)
    else:
        yield ok(
            f"{kind}, a database works there (WAL)" if kind else "a database works there (WAL)"
        )


def file_system_of(folder: Path) -> str:
    """Return the kind of file system that ``folder`` is on; empty where that is not known."""
    place, found = Path(os.path.realpath(folder)), ("", "")
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MOUNTS.read_text().splitlines():
            mount, _, rest = line.partition(" - ")
            point = mount.split()[4].replace("\\040", " ")
            # Of two at one point the later hides the other.
            if place.is_relative_to(point) and len(point) >= len(found[0]):
                found = point, rest.split()[0]
    return found[1]


def check_rights(desk: Desk) -> Iterator[Finding]:
    """Check that the relay's user can use folder and files, and nobody else."""
    path = desk.config.store.path
    if os.name != "posix" or not path.parent.exists():
        yield ok(f"nothing to see of {path.parent} yet")
        return
    findings = [*_check_folder(path.parent)]
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"):
        with contextlib.suppress(FileNotFoundError):
            findings += _check_file(path.with_name(name))
    yield from findings or [ok(f"{path.parent} is the relay's alone")]


def _check_folder(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(f"others may write in {folder} ({mode:04o})", f"chmod go-w {folder}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield problem(f"{folder} cannot be used by user {os.geteuid()}", "chown it")


def _check_file(path: Path) -> Iterator[Finding]:
    found, owner = path.stat(), path.parent.stat().st_uid
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield problem(f"others get at {path} ({mode:04o})", f"chmod 0600 {path}")
    if found.st_uid != owner:  # as after a command of root's where the relay has a user of its own
        yield problem(
            f"{path} belongs to user {found.st_uid}, but its folder to {owner}",
            f"chown {owner} {path}",
        )
    elif not os.access(path, os.R_OK | os.W_OK):
        yield problem(f"{path} cannot be written by user {os.geteuid()}", "Are you its user?")


def check_disk(desk: Desk) -> Iterator[Finding]:
    """Check that there is room for what is to come."""
    if desk.config.store.url is not None:
        return
    folder = _existing(desk.config.store.path.parent)
    free, advice = shutil.disk_usage(folder).free, f"Make room where {folder} is"
    text = f"{free >> 20:,} MiB are free"
    if free < _DISK_LEAST_BYTES:
        yield problem(f"only {text}: soon nothing can be kept any more", advice)
    elif free < _DISK_LOW_BYTES:
        yield warning(f"only {text}", advice)
    else:
        yield ok(text)
    if hasattr(os, "statvfs"):
        found = os.statvfs(folder)
        if found.f_files and found.f_favail < _INODES_LEAST:  # some have no limit, and say 0
            yield problem(f"only {found.f_favail} more files can be made (inodes)", advice)
    for left in sorted(_left_over(folder, desk.now_ms())):
        yield warning(f"{left} is left of a backup that was killed", f"rm -r {left}")


def _left_over(folder: Path, now_ms: int) -> Iterator[Path]:
    """Yield the temporary folders, with a copy of the database, of those who could not tidy up."""
    for prefix in TEMPORARY_PREFIXES:
        for path in folder.glob(f"{prefix}*/"):
            with contextlib.suppress(FileNotFoundError):  # it is not left, but done
                if path.stat().st_mtime * 1000 < now_ms - _LEFT_AFTER_MS:
                    yield path


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest above that exists."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())
