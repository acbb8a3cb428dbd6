import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import securechat
from securechat.errors import NewerSchemaError, StoreError
from securechat.store import database
from securechat.store.database import open_database, read_only, store_errors

ROOT = Path(securechat.__file__).parents[1]

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")
not_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere"
)

# Opens a database, says so, and keeps it until its standard input ends or it is killed.
HOLDER = """
import sys
from pathlib import Path
from securechat.store.database import open_database
connection = open_database(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@posix_only
def test_folder_and_files_are_made_for_the_owner_alone(tmp_path):
    path = tmp_path / "state" / "relay.db"
    with closing(open_database(path)) as connection:
        connection.execute("INSERT INTO relay_secrets VALUES ('x', x'00')")
        assert mode_of(path.parent) == 0o700
        files = {file.name: mode_of(file) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(
        ["relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"], 0o600
    )


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away"
)
def test_what_root_makes_belongs_to_whom_the_folder_belongs_to(tmp_path):
    """As after a command of root's before the first start: the relay's user must get at it."""
    os.chown(tmp_path, 12345, 23456)
    open_database(tmp_path / "relay.db").close()
    found = {file.name: (file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()}
    assert found == dict.fromkeys(["relay.db", "relay.db.lock"], (12345, 23456))


@posix_only
def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o750)
    open_database(tmp_path / "state" / "relay.db").close()
    assert mode_of(tmp_path / "state") == 0o750


def test_pragmas(tmp_path):
    with closing(open_database(tmp_path / "relay.db")) as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2  # FULL
        assert pragma(connection, "foreign_keys") == 1
        assert pragma(connection, "busy_timeout") == database.BUSY_TIMEOUT_MS
        assert connection.isolation_level is None
        assert not connection.in_transaction


def test_what_was_written_is_there_when_opened_again(tmp_path):
    with closing(open_database(tmp_path / "relay.db")) as connection:
        connection.execute("INSERT INTO relay_secrets VALUES ('x', x'00ff')")
    with closing(open_database(tmp_path / "relay.db")) as connection:
        assert connection.execute("SELECT value FROM relay_secrets").fetchall() == [(b"\x00\xff",)]


def test_a_relative_path_is_used_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_database(Path("relay.db")).close()
    assert (tmp_path / "relay.db").exists()


def test_a_second_relay_in_the_same_process_is_refused(tmp_path):
    path = tmp_path / "relay.db"
    with closing(open_database(path)):
        with pytest.raises(StoreError, match="in use by another relay") as caught:
            open_database(path)
        assert str(path) in str(caught.value)
        with pytest.raises(StoreError, match="in use by another relay"):
            open_database(path)  # and the refusal did not break the lock
    open_database(path).close()


@posix_only
def test_a_second_relay_by_another_name_of_the_file_is_refused(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "relay.db")
    with (
        closing(open_database(tmp_path / "relay.db")),
        pytest.raises(StoreError, match="in use by another relay"),
    ):
        open_database(tmp_path / "link.db")


def test_the_lock_holds_between_processes_and_ends_with_a_killed_one(tmp_path):
    path = tmp_path / "relay.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="in use by another relay"):
            open_database(path)
        holder.kill()
    open_database(path).close()


def test_a_tool_may_read_beside_a_running_relay(tmp_path):
    path = tmp_path / "relay.db"
    with closing(open_database(path)) as relay, read_only(path) as tool:
        relay.execute("INSERT INTO relay_secrets VALUES ('x', x'00')")
        assert tool.execute("SELECT name FROM relay_secrets").fetchall() == [("x",)]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # whoever writes is in nobody's way
            assert tool.execute("SELECT count(*) FROM relay_secrets").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            tool.execute("DELETE FROM relay_secrets")


def test_a_tool_that_reads_keeps_no_relay_out(tmp_path):
    path = tmp_path / "relay.db"
    open_database(path).close()
    with read_only(path), read_only(path), closing(open_database(path)) as relay:
        relay.execute("INSERT INTO relay_secrets VALUES ('x', x'00')")


def test_a_tool_that_reads_makes_no_database(tmp_path):
    with (
        pytest.raises(StoreError, match="cannot read the database"),
        read_only(tmp_path / "relay.db"),
    ):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_other_programs_may_read_while_a_relay_runs(tmp_path):
    path = tmp_path / "relay.db"
    with closing(open_database(path)) as connection, closing(sqlite3.connect(path)) as reader:
        connection.execute("INSERT INTO relay_secrets VALUES ('x', x'00')")
        assert reader.execute("SELECT count(*) FROM relay_secrets").fetchone() == (1,)
        with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
            reader.backup(backup)


def test_a_program_that_keeps_the_database_locked_is_an_error_not_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 1)
    path = tmp_path / "relay.db"
    open_database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("PRAGMA locking_mode = EXCLUSIVE")
        shell.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked") as caught:
            open_database(path)
    assert str(path) in str(caught.value)


def test_a_newer_database_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "relay.db"
    with closing(open_database(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    before = path.read_bytes()
    with pytest.raises(NewerSchemaError, match="1000"):
        open_database(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_as_it_was(tmp_path):
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="some other program"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 500)
    with pytest.raises(StoreError, match="not a database") as caught:
        open_database(path)
    assert str(path) in str(caught.value)
    assert path.read_text() == "buy milk\n" * 500


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "relay.db"
    with pytest.raises(StoreError) as caught:
        open_database(path)
    assert str(path) in str(caught.value)


def test_a_folder_in_the_place_of_the_database_is_named(tmp_path):
    path = tmp_path / "relay.db"
    path.mkdir()
    with pytest.raises(StoreError) as caught:
        open_database(path)
    assert str(path) in str(caught.value)


@not_root
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="ermission denied") as caught:
            open_database(tmp_path / "relay.db")
    finally:
        tmp_path.chmod(0o700)
    assert str(tmp_path / "relay.db") in str(caught.value)


@not_root
def test_a_database_that_may_not_be_written_is_named(tmp_path):
    path = tmp_path / "relay.db"
    open_database(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="readonly") as caught:
        open_database(path)
    assert str(path) in str(caught.value)


def test_after_a_refusal_the_lock_is_free(tmp_path):
    path = tmp_path / "relay.db"
    path.write_text("no database " * 100)
    with pytest.raises(StoreError):
        open_database(path)
    path.unlink()
    open_database(path).close()


def test_closing_twice_is_harmless(tmp_path):
    connection = open_database(tmp_path / "relay.db")
    connection.close()
    connection.close()


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), OSError("gone")])
def test_store_errors_translates_and_keeps_the_cause(error):
    with (
        pytest.raises(StoreError, match="cannot count the sheep: ") as caught,
        store_errors("count the sheep"),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_store_errors_lets_our_own_errors_and_bugs_pass():
    with pytest.raises(NewerSchemaError, match=r"^mine$"), store_errors("pass"):
        raise NewerSchemaError("mine")
    with pytest.raises(KeyError), store_errors("pass"):
        raise KeyError("bug")
