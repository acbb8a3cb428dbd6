"""Devices are pinned, and a changed one never passes for the one that was verified."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import securechat
from securechat.errors import NewerSchemaError, StoreError
from securechat.irc.peering import fingerprint_of
from securechat.peer import known_peers
from securechat.peer.known_peers import (
    DEVICES_PER_CONTACT,
    Contact,
    KnownDevice,
    KnownPeers,
    Policy,
    Safety,
    safety_of,
)
from tests.timeouts import LONG_TIMEOUT_S

ROOT = Path(securechat.__file__).parents[1]
RELAY = "chat.example.org:6697"

OLD, NEW = b"the certificate of an old device", b"the certificate of a new one"

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")

# Waits for a line, then opens the file and pins a device of its own for each contact.
SEER = """
import sys
from pathlib import Path
from securechat.peer.known_peers import KnownPeers
print("ready", flush=True)
sys.stdin.readline()
known = KnownPeers(Path(sys.argv[1]))
for number in range(20):
    known.see("relay", f"account{number}", sys.argv[2].encode(), number)
known.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "peers.db"


@pytest.fixture
def known(path: Path) -> Iterator[KnownPeers]:
    with closing(KnownPeers(path)) as known:
        yield known


def seen(name: bytes, *, verified: bool = False, accepted: bool = False) -> KnownDevice:
    return KnownDevice(fingerprint_of(name), name, 1, 1, verified, accepted)


class TestSafety:
    @pytest.mark.parametrize(
        ("devices", "safety"),
        [
            ([], Safety.NEW),
            ([seen(NEW)], Safety.KNOWN),
            ([seen(NEW, accepted=True)], Safety.KNOWN),
            ([seen(NEW, verified=True)], Safety.VERIFIED),
            ([seen(NEW, verified=True, accepted=True)], Safety.VERIFIED),
            ([seen(OLD)], Safety.CHANGED),
            ([seen(OLD, accepted=True)], Safety.CHANGED),
            ([seen(OLD, verified=True)], Safety.BLOCKED),
            ([seen(OLD, verified=True, accepted=True)], Safety.BLOCKED),
            ([seen(OLD), seen(NEW)], Safety.KNOWN),
            ([seen(OLD, accepted=True), seen(NEW)], Safety.KNOWN),
            ([seen(OLD, verified=True), seen(NEW)], Safety.BLOCKED),
            ([seen(OLD, verified=True), seen(NEW, accepted=True)], Safety.KNOWN),
            ([seen(OLD, verified=True), seen(NEW, verified=True)], Safety.VERIFIED),
            ([seen(OLD), seen(NEW, verified=True)], Safety.VERIFIED),
            ([seen(b"third"), seen(OLD, verified=True)], Safety.BLOCKED),
        ],
    )
    def test_of_the_new_device(self, devices: list[KnownDevice], safety: Safety) -> None:
        for order in (devices, devices[::-1]):
            contact = Contact(RELAY, "bob", devices=tuple(order))
            assert safety_of(contact, fingerprint_of(NEW)) is safety


class TestLife:
    """What becomes of a contact's devices, step by step."""

    @pytest.fixture
    def safety(self, known: KnownPeers) -> Callable[[bytes], Safety]:
        return lambda name: safety_of(known.contact(RELAY, "bob"), fingerprint_of(name))

    def test_pinned_on_first_use(
        self, known: KnownPeers, safety: Callable[[bytes], Safety]
    ) -> None:
        assert safety(OLD) is Safety.NEW
        known.see(RELAY, "bob", OLD, 5)
        assert safety(OLD) is Safety.KNOWN
        assert safety(NEW) is Safety.CHANGED
        known.see(RELAY, "bob", NEW, 6)
        assert safety(NEW) is Safety.KNOWN

    def test_after_one_is_verified_another_must_be_accepted(
        self, known: KnownPeers, safety: Callable[[bytes], Safety]
    ) -> None:
        known.see(RELAY, "bob", OLD, 5)
        known.verify(RELAY, "bob", fingerprint_of(OLD), True)
        assert safety(OLD) is Safety.VERIFIED
        assert safety(NEW) is Safety.BLOCKED
        known.see(RELAY, "bob", NEW, 6)
        assert safety(NEW) is Safety.BLOCKED
        known.accept(RELAY, "bob", NEW, 7)
        assert safety(NEW) is Safety.KNOWN
        known.see(RELAY, "bob", NEW, 8)
        assert safety(NEW) is Safety.KNOWN  # once accepted, it stays so
        known.verify(RELAY, "bob", fingerprint_of(NEW), True)
        assert safety(NEW) is Safety.VERIFIED

    def test_accepting_pins(self, known: KnownPeers, safety: Callable[[bytes], Safety]) -> None:
        known.see(RELAY, "bob", OLD, 5)
        known.verify(RELAY, "bob", fingerprint_of(OLD), True)
        known.accept(RELAY, "bob", NEW, 7)
        assert safety(NEW) is Safety.KNOWN
        assert known.contact(RELAY, "bob").devices == (
            KnownDevice(fingerprint_of(NEW), NEW, 7, 7, verified=False, accepted=True),
            KnownDevice(fingerprint_of(OLD), OLD, 5, 5, verified=True, accepted=False),
        )

    def test_a_verification_can_be_taken_back(
        self, known: KnownPeers, safety: Callable[[bytes], Safety]
    ) -> None:
        known.see(RELAY, "bob", OLD, 5)
        known.verify(RELAY, "bob", fingerprint_of(OLD), True)
        known.verify(RELAY, "bob", fingerprint_of(OLD), False)
        assert safety(OLD) is Safety.KNOWN
        assert safety(NEW) is Safety.CHANGED

    def test_a_device_that_is_not_pinned_cannot_be_verified(self, known: KnownPeers) -> None:
        known.see(RELAY, "bob", OLD, 5)
        for network, account, name in (
            (RELAY, "bob", NEW),
            (RELAY, "ann", OLD),
            ("other:1", "bob", OLD),
        ):
            with pytest.raises(StoreError, match="is not known to have the device"):
                known.verify(network, account, fingerprint_of(name), True)

    def test_a_device_can_be_forgotten(
        self, known: KnownPeers, safety: Callable[[bytes], Safety]
    ) -> None:
        for name in (OLD, NEW):
            known.see(RELAY, "bob", name, 5)
        known.set_policy(RELAY, "bob", Policy.NEVER)
        known.forget(RELAY, "bob", fingerprint_of(OLD))
        assert [one.certificate for one in known.contact(RELAY, "bob").devices] == [NEW]
        known.forget(RELAY, "bob", fingerprint_of(NEW))
        assert safety(OLD) is Safety.NEW
        assert known.contact(RELAY, "bob").policy is Policy.NEVER

    def test_a_contact_can_be_forgotten(self, known: KnownPeers, path: Path) -> None:
        for account in ("bob", "ann"):
            known.see(RELAY, account, OLD, 5)
            known.set_policy(RELAY, account, Policy.NEVER)
        assert path.read_bytes().count(OLD) == 2
        known.forget(RELAY, "bob", None)
        assert known.contact(RELAY, "bob") == Contact(RELAY, "bob")
        assert [one.account for one in known.contacts(RELAY)] == ["ann"]
        assert path.read_bytes().count(OLD) == 1  # overwritten, not only unlinked

    def test_to_forget_a_stranger_is_harmless(self, known: KnownPeers) -> None:
        known.forget(RELAY, "bob", None)
        known.forget(RELAY, "bob", fingerprint_of(OLD))
        assert known.contacts(RELAY) == []

    def test_when_it_was_seen(self, known: KnownPeers) -> None:
        for now_ms in (500, 900, 700):  # a clock may be set back
            known.see(RELAY, "bob", OLD, now_ms)
        [device] = known.contact(RELAY, "bob").devices
        assert (device.first_seen_ms, device.last_seen_ms) == (500, 900)

    def test_the_one_seen_last_comes_first(self, known: KnownPeers) -> None:
        for names in ([OLD, NEW], [NEW, OLD]):
            known.forget(RELAY, "bob", None)
            for now_ms, name in enumerate(names):
                known.see(RELAY, "bob", name, now_ms)
            devices = known.contact(RELAY, "bob").devices
            assert [one.certificate for one in devices] == names[::-1]


class TestDecisions:
    def test_of_a_stranger(self, known: KnownPeers) -> None:
        contact = known.contact(RELAY, "bob")
        assert contact == Contact(RELAY, "bob", Policy.ASK, False, False, ())
        assert known.contacts(RELAY) == []  # looking makes no contact

    def test_each_is_kept_by_itself(self, known: KnownPeers, path: Path) -> None:
        known.see(RELAY, "bob", OLD, 5)
        known.set_policy(RELAY, "bob", Policy.ALWAYS)
        known.set_show_addresses(RELAY, "bob", True)
        known.set_take_files(RELAY, "bob", True)
        known.set_show_addresses(RELAY, "bob", False)
        known.close()
        with closing(KnownPeers(path)) as again:
            [contact] = again.contacts(RELAY)
        assert contact == Contact(
            RELAY, "bob", Policy.ALWAYS, False, True, (KnownDevice(fingerprint_of(OLD), OLD, 5, 5),)
        )

    def test_before_a_device_is_known(self, known: KnownPeers) -> None:
        known.set_show_addresses(RELAY, "bob", True)
        assert known.contact(RELAY, "bob") == Contact(RELAY, "bob", show_addresses=True)

    def test_networks_are_apart(self, known: KnownPeers) -> None:
        known.see(RELAY, "bob", OLD, 5)
        known.see("other:6697", "bob", NEW, 5)
        known.set_policy("other:6697", "bob", Policy.NEVER)
        assert [one.certificate for one in known.contact(RELAY, "bob").devices] == [OLD]
        assert known.contact(RELAY, "bob").policy is Policy.ASK
        assert [one.policy for one in known.contacts("other:6697")] == [Policy.NEVER]

    def test_contacts_come_by_account(self, known: KnownPeers) -> None:
        for account in ("eve", "ann", "bob"):
            for name in (OLD, NEW):
                known.see(RELAY, account, name, 5)
        found = known.contacts(RELAY)
        assert [(one.account, len(one.devices)) for one in found] == [
            ("ann", 2),
            ("bob", 2),
            ("eve", 2),
        ]


class TestLimit:
    @pytest.fixture
    def names(self) -> list[bytes]:
        return [b"device %d" % number for number in range(DEVICES_PER_CONTACT)]

    def test_the_one_unseen_for_longest_makes_room(
        self, known: KnownPeers, names: list[bytes]
    ) -> None:
        for now_ms, name in enumerate(names):
            known.see(RELAY, "bob", name, now_ms)
        known.see(RELAY, "ann", OLD, 0)
        known.see(RELAY, "bob", names[0], 100)
        known.verify(RELAY, "bob", fingerprint_of(names[1]), True)
        known.accept(RELAY, "bob", names[2], 2)
        known.see(RELAY, "bob", NEW, 1)  # newest, although its time is early
        left = {one.certificate for one in known.contact(RELAY, "bob").devices}
        assert left == {*names, NEW} - {names[3]}
        assert len(known.contact(RELAY, "ann").devices) == 1

    def test_what_the_user_has_decided_about_stays(
        self, known: KnownPeers, names: list[bytes]
    ) -> None:
        for name in names:
            known.accept(RELAY, "bob", name, 5)
        known.verify(RELAY, "bob", fingerprint_of(names[0]), True)
        before = known.contact(RELAY, "bob")
        for pin in (known.see, known.accept):
            with pytest.raises(StoreError, match="forget one that is no longer in use"):
                pin(RELAY, "bob", NEW, 6)
        assert known.contact(RELAY, "bob") == before
        known.see(RELAY, "bob", names[0], 6)  # those that are known are met as ever
        known.forget(RELAY, "bob", fingerprint_of(names[1]))
        known.accept(RELAY, "bob", NEW, 7)


class TestFile:
    @posix_only
    def test_folder_and_file_are_made_for_the_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "peers.db"
        with closing(KnownPeers(path)) as known:
            known.see(RELAY, "bob", OLD, 5)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.listdir(path.parent) == ["peers.db"]

    def test_processes_share_it(self, path: Path) -> None:
        """Both make the file, and write at once."""
        children = [
            subprocess.Popen(
                [sys.executable, "-c", SEER, str(path), name],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            child.communicate()
            assert child.returncode == 0
        with closing(KnownPeers(path)) as known:
            contacts = known.contacts("relay")
        assert len(contacts) == 20
        for contact in contacts:
            assert {one.certificate for one in contact.devices} == {b"one", b"two"}

    def test_what_one_has_written_the_other_sees(self, known: KnownPeers, path: Path) -> None:
        with closing(KnownPeers(path)) as other:
            other.see(RELAY, "bob", OLD, 5)
            assert len(known.contact(RELAY, "bob").devices) == 1
            known.forget(RELAY, "bob", None)
            assert other.contacts(RELAY) == []

    def test_one_that_keeps_it_locked_is_an_error_not_a_hang(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(known_peers, "BUSY_TIMEOUT_MS", 1)
        with (
            closing(KnownPeers(path)) as known,
            closing(sqlite3.connect(path, isolation_level=None)) as shell,
        ):
            shell.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="cannot pin a device of bob: database is locked"):
                known.see(RELAY, "bob", OLD, 5)
            with pytest.raises(StoreError, match="cannot look up bob"):
                known.contact(RELAY, "bob")
            shell.execute("ROLLBACK")
            known.see(RELAY, "bob", OLD, 5)

    def test_a_newer_file_is_refused_and_left_as_it_was(self, path: Path) -> None:
        KnownPeers(path).close()
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("PRAGMA user_version = 1000")
        before = path.read_bytes()
        with pytest.raises(NewerSchemaError, match=r"version 1000, but .* up to 1"):
            KnownPeers(path)
        assert path.read_bytes() == before

    def test_another_programs_database_is_left_as_it_was(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE bookmarks (url TEXT)")
        before = path.read_bytes()
        with pytest.raises(StoreError, match="some other program"):
            KnownPeers(path)
        assert path.read_bytes() == before

    def test_a_file_that_is_no_database_is_left_as_it_was(self, path: Path) -> None:
        path.write_text("buy milk\n" * 500)
        with pytest.raises(StoreError, match=r"cannot open .*peers.db: file is not a database"):
            KnownPeers(path)
        assert path.read_text() == "buy milk\n" * 500

    def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreError, match=r"cannot open .*peers.db"):
            KnownPeers(path)

    def test_an_older_file_is_upgraded(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with closing(KnownPeers(path)) as known:
            known.see(RELAY, "bob", OLD, 5)
        migrations = (*known_peers._MIGRATIONS, ("ALTER TABLE contacts ADD COLUMN note TEXT",))
        monkeypatch.setattr(known_peers, "_MIGRATIONS", migrations)
        for _ in range(2):
            with closing(KnownPeers(path)) as known:
                assert len(known.contact(RELAY, "bob").devices) == 1
        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("SELECT note FROM contacts").fetchall() == [(None,)]
            assert shell.execute("PRAGMA user_version").fetchone() == (2,)

    def test_a_failed_upgrade_changes_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        KnownPeers(path).close()
        before = path.read_bytes()
        broken = ("ALTER TABLE contacts ADD COLUMN note TEXT", "NO SUCH STATEMENT")
        monkeypatch.setattr(known_peers, "_MIGRATIONS", (*known_peers._MIGRATIONS, broken))
        with pytest.raises(StoreError, match="cannot upgrade"):
            KnownPeers(path)
        assert path.read_bytes() == before

    def test_it_belongs_to_the_thread_that_opened_it(self, known: KnownPeers) -> None:
        errors: list[Exception] = []

        def look() -> None:
            try:
                known.contact(RELAY, "bob")
            except StoreError as error:
                errors.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(LONG_TIMEOUT_S)
        assert "thread" in str(errors[0])

    def test_closing_twice_is_harmless(self, path: Path) -> None:
        known = KnownPeers(path)
        known.close()
        known.close()
        with pytest.raises(StoreError, match="closed"):
            known.contacts(RELAY)
