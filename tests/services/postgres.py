"""PostgreSQL as an operator has it: a real server, TLS, a password, and commits that are on disk.

The server is a child of the tests, in a folder of its own under an unprivileged user and on a free
port of 127.0.0.1, which stays its own while it is down. It takes a second to make, so all tests of
a process share it, each in a namespace of its own (the ``search_path`` of its address), which takes
a tenth of the time of a database: ``postgres_url`` has the tables, ``empty_postgres_url`` nothing.
Tables that a test has only written to are emptied for another one, in a tenth of the time that
making them takes. What a test may do to the server is undone after it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import trustme

from securechat.store.postgres import PostgresConnection
from securechat.store.postgres_migrations import migrate
from tests.e2e.children import TIMEOUT_S
from tests.services.nats import HOST, ReservedPort

ASK_AGAIN_S = 0.01
"""Between two questions to a server that is not ready."""

USER = "relays"

CONFIGURATION = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{folder}'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server-key.pem'
max_connections = 60
shared_buffers = 32MB
wal_level = minimal
max_wal_senders = 0
# It is killed here, but never is the power cut.
fsync = off
full_page_writes = off
log_lock_waits = on
"""

ACCESS = """
local all all scram-sha-256
hostssl all all 127.0.0.1/32 scram-sha-256
"""


SHAPE = """
SELECT string_agg(part, E'\n' ORDER BY part) FROM (
    SELECT concat_ws(' ', relname, relacl, attname, atttypid, attnotnull, atthasdef) AS part
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace AND attnum > 0
    UNION ALL
    SELECT concat_ws(' ', relname, tgname) FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'version', version) FROM schema_version
) AS parts
"""
"""Asks for all by which the tables of a namespace may differ from what was made, but for their
rows."""

CLEAR = """
DO $do$
DECLARE each name;
BEGIN
    SET LOCAL session_replication_role = replica;  -- rows may be deleted before what they refer to
    FOR each IN SELECT tablename FROM pg_tables
        WHERE schemaname = current_schema() AND tablename <> 'schema_version'
    LOOP
        EXECUTE format('DELETE FROM %I', each);
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences
        WHERE schemaname = current_schema();
END
$do$
"""


def find_postgres() -> Path:
    """Return the folder of the programs; skip the test where they are not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: len(str(path)))
    for folder in [*reversed(debian), *map(Path, os.environ.get("PATH", "").split(":"))]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


def unprivileged() -> str | None:
    """Return the user under which the server runs, which must not be root; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


class PostgresServer:
    """A server that is ready once this has been made; a context manager that ends it.

    It also ends with the thread that starts it, so that nothing outlives tests that are killed:
    call everything in the tests' own thread.
    """

    user = USER

    def __init__(self, folder: Path) -> None:
        self._programs = find_postgres()
        self._owner = unprivileged()
        self._folder = folder
        self._data = folder / "data"
        self.password = secrets.token_hex(8)
        self.ca_file = folder / "ca.pem"
        self._port = ReservedPort()
        self.port = self._port.number
        self._numbers = itertools.count(1)
        self._empty: list[str] = []  # namespaces with tables that may be used again
        self._shape = ""
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, namespace: str, **parameters: str) -> str:
        """Return an address; ``parameters`` instead of those by which TLS is verified."""
        given = parameters or {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)}
        given |= {"hostaddr": HOST, "options": f"-csearch_path={namespace}"}
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in given.items())
        return f"postgresql://{self.user}:{self.password}@localhost:{self.port}/postgres?{query}"

    @property
    def socket_path(self) -> str:
        """The Unix socket, on which no TLS is asked for."""
        return str(self._folder / f".s.PGSQL.{self.port}")

    def connect(self, namespace: str = "public") -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection in which each statement is a transaction."""
        return psycopg.connect(self.url(namespace), autocommit=True)

    @contextlib.contextmanager
    def namespace(self, *, tables: bool) -> Iterator[str]:
        """Give a namespace that is used by nobody else, by its name."""
        name = self._empty.pop() if tables and self._empty else self._make_namespace(tables)
        try:
            yield name
        finally:
            self.restore()
            with contextlib.closing(self.connect(name)) as connection:
                # Whatever a test that has failed has left: it would keep its tables.
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                if tables and self._has_its_shape(connection):
                    connection.execute(CLEAR)
                    self._empty.append(name)
                else:
                    connection.execute(f"DROP SCHEMA {name} CASCADE")

    def _make_namespace(self, tables: bool) -> str:
        name = f"test_{next(self._numbers)}"
        with contextlib.closing(self.connect(name)) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
            if tables:
                migrate(PostgresConnection(connection))
                (self._shape,) = connection.execute(SHAPE).fetchone() or ("",)
        return name

    def _has_its_shape(self, connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
        try:
            return connection.execute(SHAPE).fetchone() == (self._shape,)
        except psycopg.errors.UndefinedTable:
            return False

    def start(self) -> None:
        """Start the server, which does not run; return when it takes connections."""
        assert self._process is None, "it runs"
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with (self._folder / "log").open("ab") as log:
            self._process = self._popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server and all its connections; return when it is gone.

        With SIGQUIT it does not tidy up, and has to recover; SIGKILL is a machine that is gone.
        """
        process = self._running()
        self.resume()
        children = self._children(process.pid)
        process.send_signal(how)
        process.wait()
        self._process = None
        _wait_until_gone(children)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, and start it again."""
        self.stop(how)
        self.start()

    def pause(self) -> None:
        """Stop all of the server where it is: its connections stay and nothing answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        for child in self._children(process.pid):
            os.kill(child, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on that was paused."""
        process = self._running()
        for child in [*self._children(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)

    def restore(self) -> None:
        """Have the server run, whatever was done to it."""
        if self._process is None:
            self.start()
        else:
            self.resume()

    def close(self) -> None:
        """End the server at once, if it runs. May be called again."""
        if self._process is not None:
            self.stop(signal.SIGQUIT)
        self._port.close()

    def _make(self) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", HOST)
        authority.cert_pem.write_to_path(self.ca_file)
        certificate, key = self._folder / "server.pem", self._folder / "server-key.pem"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        password = self._folder / "password"
        password.write_text(self.password)
        if self._owner is not None:
            for path in (self._folder, key, password):
                shutil.chown(path, self._owner)
        made = self._popen(
            [
                *(str(self._programs / "initdb"), "-D", str(self._data), "--no-sync"),
                *("-U", self.user, f"--pwfile={password}", "-A", "scram-sha-256"),
                # Not byte by byte: what has to be, must say so.
                *("-E", "UTF8", "--locale-provider=icu", "--icu-locale=en", "--locale=C"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = made.communicate()
        assert made.returncode == 0, said.decode()
        text = CONFIGURATION.format(host=HOST, port=self.port, folder=self._folder)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(text)
        (self._data / "pg_hba.conf").write_text(ACCESS)

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        if self._owner is not None:
            entry = pwd.getpwnam(self._owner)
            options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self._folder, **options)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def _children(self, pid: int) -> list[int]:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while (problem := self._problem()) is not None:
            log = (self._folder / "log").read_text()[-2000:]
            assert self._running().poll() is None, f"it has ended:\n{log}"
            assert time.monotonic() < deadline, f"it is not ready: {problem}\n{log}"
            time.sleep(ASK_AGAIN_S)

    def _problem(self) -> str | None:
        try:
            self.connect().close()
        except psycopg.OperationalError as error:
            return str(error)
        return None


def _wait_until_gone(pids: list[int]) -> None:
    """Wait for processes that are not our children, and have what the next server needs."""
    deadline = time.monotonic() + TIMEOUT_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(ASK_AGAIN_S)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that all tests of this process share."""
    # Not below the folder of pytest, into which no other user may look.
    with tempfile.TemporaryDirectory(prefix="securechat-postgres-") as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(Path(folder)) as server:
            yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, to stop and start and pause it."""
    yield postgres_server
    postgres_server.restore()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of new, empty tables."""
    with postgres_server.namespace(tables=True) as name:
        yield postgres_server.url(name)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a place without anything."""
    with postgres_server.namespace(tables=False) as name:
        yield postgres_server.url(name)
