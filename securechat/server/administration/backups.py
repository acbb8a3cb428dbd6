"""``backup``, ``restore``: all of a relay in one file, and back."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from securechat.errors import ConfigError, SecureChatError, StoreError
from securechat.pki import ca_files
from securechat.server.administration.backup_file import (
    CERTIFICATES,
    CONFIGURATION,
    DATABASE,
    TEMPORARY_PREFIXES,
    read_backup,
    write_backup,
)
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import say, warn
from securechat.server.administration.remote import connect_to_relay
from securechat.server.administration.store_copy import new_file
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config
from securechat.store.backup import check_copy, copy_database
from securechat.store.copying import copy_all
from securechat.store.database import database_locked, give_to_owner_of, store_errors
from securechat.store.migrations import MIGRATIONS

__all__ = ["TOOLS"]

_BACKUP_PREFIX, _RESTORE_PREFIX, _ = TEMPORARY_PREFIXES


def _certificate_files(config: Config) -> Mapping[str, Path]:
    """Return where the certificates and keys are, by their names in a backup."""
    tls = config.tls
    ca = ca_files(tls.certificate.parent)
    places = (tls.certificate, tls.key, ca.certificate, ca.key, tls.client_ca)
    return {
        name: place
        for name, place in zip(CERTIFICATES, places, strict=True)
        if place is not None and (name != "client-ca.pem" or place != ca.certificate)
    }


# ---- backup ----


def _configure_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file, such as chat.tar.gz")


def _prepare_backup(options: argparse.Namespace, config: Config) -> Arguments:
    return {"configuration": str(options.config.absolute()) if options.config else ""}


def _backup(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    store = desk.config.store
    if desk.output is None:
        raise ConfigError(["there is no file to write"])
    if store.url is None and not store.path.exists():
        raise StoreError("there is no database {path} yet", path=store.path)
    if desk.relay is not None:
        desk.relay.services.history.flush()
        desk.write(lambda connection: None)  # what came before is written now
    files = {
        name: place for name, place in _certificate_files(desk.config).items() if place.exists()
    }
    warnings = []
    configuration = str(arguments["configuration"])
    if configuration and os.access(configuration, os.R_OK):
        files[CONFIGURATION] = Path(configuration)
    elif configuration:
        warnings.append(f"the configuration is not in it: the relay may not read {configuration}")
    with _temporary_folder(store.path.parent, _BACKUP_PREFIX) as folder:
        copy = folder / DATABASE
        schema = _copy_database(desk, copy)
        write_backup(desk.output, {DATABASE: copy, **files}, schema=schema, made=desk.now())
    return {"files": [DATABASE, *files], "warnings": warnings}


def _copy_database(desk: Desk, copy: Path) -> int:
    """Write the database as it is now into a new file; return the version of its schema.

    In a backup it is a file in any case: it may be put back where there is no PostgreSQL.
    """
    if desk.config.store.url is None:
        return copy_database(desk.config.store.path, copy)
    with desk.reading() as source, new_file(copy) as target:
        copy_all(source, target)
    return len(MIGRATIONS)


def _show_backup(result: Any, options: argparse.Namespace) -> int:
    for warning in result["warnings"]:
        warn(warning)
    say(f"{options.file}: {', '.join(result['files'])}")
    say("Whoever has it has the keys and all that was said: keep it as safe as them.")
    return 0


@contextlib.contextmanager
def _temporary_folder(beside: Path, prefix: str) -> Iterator[Path]:
    """Give a folder of our own, which is gone afterwards, on the same file system."""
    with store_errors(f"write in {beside}"):
        beside.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=beside, prefix=prefix)
    with made as name:
        yield Path(name)


# ---- restore ----


def _configure_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="that backup has made")
    parser.add_argument(
        "--force", action="store_true", help="put aside what is there, instead of refusing"
    )


def _prepare_restore(options: argparse.Namespace, config: Config) -> Arguments:
    return {"file": str(options.file), "force": options.force}


def _restore(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    config, file = desk.config, Path(arguments["file"])
    if config.store.url is not None:
        raise SecureChatError(
            "a backup is not put into a PostgreSQL by this: take {name} out of it (tar -xzf {file} "
            "{name}), and fill an empty database: securechat-server store copy --from "
            "sqlite:{name} --to 'postgresql://…'",
            name=DATABASE,
            file=file,
        )
    running = connect_to_relay(config)
    if running is not None:
        running.close()
        raise SecureChatError("a relay runs with {path}: stop it first", path=config.store.path)
    database = Path(os.path.realpath(config.store.path))
    with (
        database_locked(database),
        _temporary_folder(database.parent, _RESTORE_PREFIX) as folder,
        store_errors("put the backup in place"),
    ):
        manifest = read_backup(file, folder)
        check_copy(folder / DATABASE)
        places = {DATABASE: database, **_certificate_files(config)}
        found = {folder / name: place for name, place in places.items() if name in manifest.files}
        wanted = _places_to_change(found)
        in_the_way = [str(place) for place in wanted if os.path.lexists(place)]
        if in_the_way and not arguments["force"]:
            raise SecureChatError(
                "there is something else already, which --force puts aside: {paths}",
                paths=", ".join(in_the_way),
            )
        aside = _put_in_place(wanted, database, desk.now())
    return {
        "made": manifest.made,
        "version": manifest.version,
        "restored": [str(place) for place in wanted],
        "aside": [str(place) for place in aside],
        "configuration": CONFIGURATION if CONFIGURATION in manifest.files else "",
    }


def _places_to_change(found: Mapping[Path, Path]) -> dict[Path, Path]:
    """Return places, and what is to be there, of those that do not hold just that already."""
    wanted: dict[Path, Path] = {}
    for source, place in found.items():
        if place in wanted and wanted[place].read_bytes() != source.read_bytes():
            raise SecureChatError(
                "the configuration has one file for {one} and {other}, the backup has two",
                one=wanted[place].name,
                other=source.name,
            )
        changes = source.name == DATABASE or not place.exists()
        if changes or source.read_bytes() != place.read_bytes():
            wanted[place] = source
    return wanted


def _put_in_place(wanted: Mapping[Path, Path], database: Path, now: datetime) -> list[Path]:
    """Put files in their places, each whole; return where what was there has gone.

    All is written before anything is moved, so that a full disk changes nothing.
    """
    suffix = f".before-restore-{now:%Y%m%dT%H%M%SZ}"
    aside = []
    with contextlib.ExitStack() as undo:
        staged = {place: _stage(source, place, undo) for place, source in wanted.items()}
        for place, source in staged.items():
            if os.path.lexists(place):
                aside.append(place.rename(place.with_name(place.name + suffix)))
            if place == database:
                aside += _put_log_aside(place, suffix)
            source.replace(place)
    return aside


def _stage(source: Path, place: Path, undo: contextlib.ExitStack) -> Path:
    """Write what will be at ``place`` beside it, readable as it should be; return where."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = place.with_name(f".new-{secrets.token_hex(4)}-{place.name}")
    undo.callback(staged.unlink, missing_ok=True)
    # By their descriptors: in a folder of somebody else's a name may become that of another file
    # at any moment, and we may be root.
    if source.name == DATABASE:
        with source.open("rb") as file:
            give_to_owner_of(place.parent, file.fileno())
        source.replace(staged)  # it is on the same file system, and large
        return staged
    content = source.read_bytes()
    secret = not source.name.endswith(".pem") or b"PRIVATE KEY" in content
    with open(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if not secret:
            os.chmod(file.fileno(), 0o644)
        give_to_owner_of(place.parent, file.fileno())
    return staged


def _put_log_aside(database: Path, suffix: str) -> list[Path]:
    """Move the log of transactions that are not in the old file yet: it is not for the new one."""
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
    log = database.with_name(f"{database.name}-wal")
    if not log.exists():
        return []
    return [log.rename(database.with_name(f"{database.name}{suffix}-wal"))]


def _show_restored(result: Any, options: argparse.Namespace) -> int:
    say(f"Restored as it was on {result['made']}, by securechat {result['version']}:")
    for place in result["restored"]:
        say(f"  {place}")
    for place in result["aside"]:
        say(f"Put aside: {place}")
    if result["configuration"]:
        say(f"The configuration is yours to put back: tar -xzf {options.file} {CONFIGURATION}")
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "backup",
        "write all of the relay into one file, while it runs or not",
        _backup,
        _show_backup,
        _configure_backup,
        _prepare_backup,
        lambda options: options.file,
        changes=False,
    ),
    Tool(
        "restore",
        "put a backup in place, while no relay runs",
        _restore,
        _show_restored,
        _configure_restore,
        _prepare_restore,
        at_relay=False,
    ),
)
"""The tools of this group."""
