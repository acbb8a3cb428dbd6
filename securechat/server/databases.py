"""Which database the configuration has chosen: a file, or PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from securechat.errors import ConfigError
from securechat.server.config import StoreConfig
from securechat.store.engine import Database
from securechat.store.postgres_url import PostgresUrl
from securechat.store.sqlite_database import SqliteDatabase

__all__ = ["database_of", "postgres_url"]


def database_of(
    store: StoreConfig, *, alone: bool = False, start_timeout_s: float = 0.0
) -> Database:
    """Return the database that ``StoreThread`` is to open; nothing is opened yet.

    :param alone: whether nobody else may use a PostgreSQL; a file nobody else ever may.
    :param start_timeout_s: how long ``open`` waits for a PostgreSQL that cannot be reached.

    Reads the file with the password, if there is one; raises ``ConfigError`` if it cannot.
    """
    if store.url is None:
        return SqliteDatabase(store.path)
    # Only here: what is imported with it is an extra.
    from securechat.store.postgres_database import PostgresDatabase

    url = postgres_url(store.url, store.password_file)
    return PostgresDatabase(url, alone=alone, start_timeout_s=start_timeout_s)


def postgres_url(url: PostgresUrl, password_file: Path | None) -> PostgresUrl:
    """Return the address with the password of the file, its first line.

    Raises ``ConfigError`` if it cannot be read, or is empty.
    """
    if password_file is None:
        return url
    try:
        password = password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError([f"[store] password_file: {password_file}: {reason}"]) from None
    if not password:
        raise ConfigError([f"[store] password_file: {password_file}: its first line is empty"])
    return url.with_password(password)
