"""Where the PostgreSQL is, as ``postgresql://user@host/database?sslmode=verify-full&…`` says it.

The address has what libpq takes: https://www.postgresql.org/docs/current/libpq-connect.html. What
psycopg reads in it is what is checked, and what is connected to: nobody reads it a second time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from securechat.errors import StoreError

__all__ = ["CLUSTER_EXTRA", "PostgresUrl", "parse_postgres_url"]

CLUSTER_EXTRA: Final = 'pip install "securechat[cluster]"'
"""What installs the client of PostgreSQL."""

_NOT_HERE: Final = frozenset({"service", "servicefile"})
"""They would have the server be another one than the address names."""

_DEFAULTS: Final = MappingProxyType(
    {
        "application_name": "securechat",  # as pg_stat_activity shows it
        "connect_timeout": "5",  # seconds for each address
        # GSSAPI would come before TLS where there is a ticket, and with it what TLS verifies.
        "gssencmode": "disable",
        # A server whose machine is gone is noticed within half a minute.
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
    }
)


class PostgresUrl:
    """A server and a database in it. Immutable. As text it has no password, and so it may be shown.

    ``parameters`` are those of libpq, as they were given.
    """

    __slots__ = ("parameters",)

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters: Final = MappingProxyType(dict(parameters))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PostgresUrl) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash(frozenset(self.parameters.items()))

    def __deepcopy__(self, memo: object) -> PostgresUrl:
        return self

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        host, user = self.parameters.get("host", ""), self.parameters.get("user", "")
        port = f":{self.parameters['port']}" if "port" in self.parameters else ""
        where = f"{quote(user)}@" * bool(user) + ("[socket]" if host.startswith("/") else host)
        return f"postgresql://{where}{port}/{self.parameters.get('dbname', '')}"

    def with_password(self, password: str) -> PostgresUrl:
        """Return the same with this password."""
        return PostgresUrl({**self.parameters, "password": password})

    def connection_string(self) -> str:
        """Return what libpq connects to; the password is in it."""
        from psycopg.conninfo import make_conninfo

        given = dict(_DEFAULTS)
        if "," in self.parameters["host"]:
            given["target_session_attrs"] = "read-write"  # of a server and its standbys the first
        return make_conninfo(**{**given, **self.parameters})


def parse_postgres_url(text: str) -> PostgresUrl:
    """Read an address.

    Raises ``StoreError`` if it is none, if TLS would not verify the server though others could
    stand between, or if the extra ``cluster`` is not installed; the text has no password.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise StoreError("PostgreSQL needs {extra}", extra=CLUSTER_EXTRA) from error
    if not text.startswith(("postgresql://", "postgres://")) or "\0" in text:
        raise StoreError("it begins with postgresql://")
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(text).items()}
    except ProgrammingError:
        # What libpq says has the address in it, and the cause would have it in the log.
        raise StoreError("it is not an address that PostgreSQL's libpq can read") from None
    forbidden = sorted(_NOT_HERE & found.keys())
    if forbidden:
        raise StoreError("{name} cannot be used here", name=forbidden[0])
    if not found.get("host"):
        raise StoreError("it names a host, or as ?host=/run/postgresql the folder of a socket")
    verified = found.get("sslmode") == "verify-full"
    hosts = [*found["host"].split(","), *filter(None, found.get("hostaddr", "").split(","))]
    others = [host for host in hosts if not _is_here(host)]
    if others and not verified:
        raise StoreError(
            "sslmode=verify-full is needed for {host}, and sslrootcert=FILE with the CA of its "
            "certificate: else whoever is in between reads and changes everything",
            host=others[0],
        )
    return PostgresUrl(found)


def _is_here(host: str) -> bool:
    """Whether nobody but this machine is on the way: a Unix socket, or loopback."""
    if host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
