"""Logins and registrations against a real store and real hashes; only the clock is faked."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from securechat.errors import AccountExists, SecureChatError, StoreBusy, StoreError
from securechat.irc.sasl import SCRAM_ITERATIONS, ScramVerifier
from securechat.server import authentication, credentials
from securechat.server.authentication import (
    AccountSuspended,
    Authenticator,
    InviteRefused,
    Registered,
    certificate_account,
    check_may_enter,
)
from securechat.server.config import AccountsConfig
from securechat.server.hash_workers import HashersBusy, HashWorkers
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.accounts import Account, Accounts
from securechat.store.invites import Invites
from securechat.store.passwords import Argon2Parameters, hash_password, verify_password
from securechat.store.sqlite_database import SqliteDatabase
from tests.server.relay_harness import LONG_TIMEOUT_S, Certificates, FakeClock

CHEAP = AccountsConfig(argon2_memory_kib=8_192, argon2_iterations=1)
DEARER = replace(CHEAP, argon2_iterations=2)
NOW_S = 1_700_000_000.0


class Door:
    """An authenticator with its parts, asked in the way of a blocking call."""

    def __init__(
        self, path: Path, config: AccountsConfig = CHEAP, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.store = StoreThread(SqliteDatabase(path))
        self.hashers = HashWorkers(1)
        self.authenticator = Authenticator(
            config, self.store, self.hashers, clock=self.clock, wall_clock=lambda: NOW_S
        )

    def check(self, account: str, password: str) -> Outcome[str]:
        return self._wait(lambda reply: self.authenticator.check_password(account, password, reply))

    def verifier(self, account: str) -> tuple[str | None, ScramVerifier]:
        outcome = self._wait(lambda reply: self.authenticator.find_verifier(account, reply))
        found, verifier = outcome.result()
        return (None if found is None else found.name), verifier

    def register(
        self, account: str, password: str, invite: str | None = None, *, invited_only: bool = True
    ) -> Outcome[Registered]:
        return self._wait(
            lambda reply: self.authenticator.register(
                account, password, invite, reply, invited_only=invited_only
            )
        )

    def suspend(self, account: str, reason: str) -> None:
        self.store.call(lambda connection: Accounts(connection).suspend(account, reason))

    def adopt(self, account: str) -> Outcome[Account]:
        return self._wait(lambda reply: self.authenticator.adopt_certificate(account, reply))

    def operator(self, password_hash: str | None, password: str) -> bool:
        return self._wait(
            lambda reply: self.authenticator.check_secret(
                [password_hash] if password_hash is not None else [], password, reply
            )
        )

    def stored(self, account: str) -> Account:
        found = self.store.call(lambda connection: Accounts(connection).get(account))
        assert found is not None
        return found

    def invite(self, code: str, *, uses: int = 1, for_s: float = 60.0, **opens: str) -> None:
        self.store.call(
            lambda connection: Invites(connection).create(
                code, uses=uses, expires_at=NOW_S + for_s, created_at=NOW_S, **opens
            )
        )

    def settle(self) -> None:
        """Wait until the hashers, and then the store, have done what they were given."""
        done = threading.Event()
        self.hashers.submit(done.set)
        assert done.wait(LONG_TIMEOUT_S)
        self.store.call(lambda connection: None)

    def close(self) -> None:
        self.hashers.close()
        self.store.close()

    def _wait(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:
        answers: SimpleQueue[Any] = SimpleQueue()
        ask(answers.put)
        answer = answers.get(timeout=LONG_TIMEOUT_S)
        assert answers.empty()
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def open_door(path: Path) -> Iterator[Callable[..., Door]]:
    with ExitStack() as stack:

        def make(**options: Any) -> Door:
            door = Door(path, **options)
            stack.callback(door.close)
            return door

        yield make


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()


class Hashes:
    """Counts the password hashes that are computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.checked: list[str] = []

        def hash_it(password: str, *rest: Any) -> str:
            self.made.append(password)
            return hash_password(password, *rest)

        def verify(password: str, phc: str) -> bool:
            self.checked.append(phc.rpartition("$")[0].rpartition("$")[0])
            return verify_password(password, phc)

        monkeypatch.setattr(credentials, "hash_password", hash_it)
        monkeypatch.setattr(authentication, "verify_password", verify)


def error_of(outcome: Outcome[Any]) -> BaseException:
    assert outcome.error is not None
    assert outcome.value is None
    return outcome.error


# ---- passwords ----


def test_a_registered_account_is_logged_in_by_its_password_in_any_case(door: Door) -> None:
    assert door.register("Alice", "correct horse").result() == Registered("Alice")
    assert door.check("Alice", "correct horse").result() == "Alice"
    assert door.check("ALICE", "correct horse").result() == "Alice"
    assert door.authenticator.account_names() == ["Alice"]


def test_unknown_account_wrong_password_and_none_at_all_are_alike(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In kind, in text, and in work: one hash of the same cost each."""
    door.register("alice", "correct horse")
    door.adopt("carol")
    outcomes = []
    for account, password in (("nobody", "x"), ("alice", "wrong"), ("carol", ""), ("carol", "x")):
        hashes = Hashes(monkeypatch)
        error = error_of(door.check(account, password))
        outcomes.append((type(error), str(error), hashes.made, hashes.checked))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    kind, text, made, checked = outcomes[0]
    assert issubclass(kind, SecureChatError)
    assert text == "wrong account or password"
    assert made == []
    assert checked == ["$argon2id$v=19$m=8192,t=1,p=1"]


def test_passwords_are_kept_as_hash_and_verifier_only(door: Door, path: Path) -> None:
    door.register("alice", "correct horse")
    stored = door.stored("alice")
    assert stored.password_hash.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
    verifier = ScramVerifier.from_text(stored.scram)
    assert verifier.iterations == SCRAM_ITERATIONS
    again = ScramVerifier.derive("correct horse", salt=verifier.salt)
    assert again == verifier
    door.close()
    for file in path.parent.iterdir():
        assert b"correct horse" not in file.read_bytes()


def test_two_accounts_of_one_password_have_nothing_in_common(door: Door) -> None:
    for name in ("alice", "bob"):
        door.register(name, "correct horse")
    alice, bob = door.stored("alice"), door.stored("bob")
    assert alice.password_hash != bob.password_hash
    assert ScramVerifier.from_text(alice.scram).salt != ScramVerifier.from_text(bob.scram).salt


def test_an_old_hash_is_upgraded_at_login(open_door: Callable[..., Door]) -> None:
    old = open_door()
    old.register("alice", "correct horse")
    before = old.stored("alice")
    old.close()
    new = open_door(config=DEARER)
    error_of(new.check("alice", "wrong"))
    new.settle()
    assert new.stored("alice") == before, "a wrong password upgrades nothing"
    assert new.check("alice", "correct horse").result() == "alice"
    new.settle()
    after = new.stored("alice")
    assert after.password_hash.startswith("$argon2id$v=19$m=8192,t=2,p=1$")
    assert after.scram != before.scram
    assert new.check("alice", "correct horse").result() == "alice"
    new.settle()
    assert new.stored("alice") == after, "once is enough"


def test_a_login_is_right_though_its_hash_could_not_be_upgraded(
    open_door: Callable[..., Door],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = open_door()
    old.register("alice", "correct horse")
    old.close()
    new = open_door(config=DEARER)

    def no_memory(password: str, parameters: Argon2Parameters) -> str:
        raise StoreError("not enough memory to hash a password")

    monkeypatch.setattr(credentials, "hash_password", no_memory)
    assert new.check("alice", "correct horse").result() == "alice"
    assert "a password hash was not upgraded: not enough memory" in caplog.text


def test_a_damaged_hash_is_an_error_and_no_wrong_password(door: Door) -> None:
    door.store.call(lambda c: Accounts(c).create("alice", "alice", "damaged", "", 0))
    assert isinstance(error_of(door.check("alice", "x")), StoreError)


def test_the_time_of_a_login_is_noted(door: Door) -> None:
    door.register("alice", "correct horse")
    assert door.stored("alice").last_login_at is None
    door.authenticator.logged_in("ALICE")
    assert door.stored("alice").last_login_at == NOW_S


def test_a_login_whose_time_cannot_be_noted_is_logged(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.authenticator.logged_in("nobody")
    door.settle()
    assert "the time of a login was not kept: there is no account nobody" in caplog.text
    door.store.close()
    door.authenticator.logged_in("nobody")
    assert "the time of a login was not kept: the store is closed" in caplog.text


# ---- SCRAM ----


def test_the_verifier_of_an_account(door: Door) -> None:
    door.register("Alice", "correct horse")
    name, verifier = door.verifier("ALICE")
    assert name == "Alice"
    assert verifier == ScramVerifier.derive("correct horse", salt=verifier.salt)


def test_a_made_up_verifier_looks_like_a_real_one_and_stays_the_same(
    open_door: Callable[..., Door], tmp_path: Path
) -> None:
    door = open_door()
    door.register("alice", "correct horse")
    _, real = door.verifier("alice")
    name, decoy = door.verifier("nobody")
    assert name is None
    assert (len(decoy.salt), decoy.iterations) == (len(real.salt), real.iterations)
    assert len(decoy.stored_key) == len(decoy.server_key) == len(real.stored_key)
    assert door.verifier("NOBODY")[1] == decoy, "as an account's would, whatever the case"
    assert door.verifier("somebody")[1].salt != decoy.salt
    door.close()
    again = open_door()
    assert again.verifier("nobody")[1] == decoy, "the same after a restart"
    other = Door(tmp_path / "other.db")
    try:
        assert other.verifier("nobody")[1].salt != decoy.salt, "another relay, another secret"
    finally:
        other.close()


def test_a_damaged_verifier_is_an_error(door: Door) -> None:
    door.store.call(lambda c: Accounts(c).create("alice", "alice", "", "damaged", 0))
    with pytest.raises(SecureChatError, match="not a SCRAM-SHA-256 verifier"):
        door.verifier("alice")


# ---- certificates ----


def test_a_certificate_makes_its_account_once_and_no_password_opens_it(door: Door) -> None:
    assert door.adopt("Carol").result().name == "Carol"
    assert door.adopt("CAROL").result().name == "Carol"
    assert door.authenticator.account_names() == ["Carol"]
    for password in ("", "x", "Carol"):
        error_of(door.check("Carol", password))
    name, verifier = door.verifier("Carol")
    assert name is None, "SCRAM is answered as for an unknown account"
    assert verifier == door.verifier("carol")[1]
    assert isinstance(error_of(door.register("carol", "correct horse")), AccountExists)


def test_a_certificate_opens_an_account_that_has_a_password_too(door: Door) -> None:
    door.register("Alice", "correct horse")
    before = door.stored("alice")
    assert door.adopt("alice").result().name == "Alice"
    assert door.stored("alice") == before
    assert door.check("alice", "correct horse").result() == "Alice"


def test_the_account_of_a_certificate_is_its_common_name(
    relay_certificates: Certificates,
) -> None:
    def der(name: str | None) -> bytes:
        issued = relay_certificates.ca.issue_cert("a@example.org", common_name=name)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    assert certificate_account(der("Alice")) == "Alice"
    assert certificate_account(der("not a nick!")) == "not a nick!"
    assert certificate_account(der(None)) is None


# ---- registration and invitations ----


def test_an_account_is_made_once(door: Door) -> None:
    door.register("Alice", "correct horse")
    error = error_of(door.register("ALICE", "another one"))
    assert isinstance(error, AccountExists)
    assert door.check("alice", "correct horse").result() == "Alice"


def test_an_invitation_is_used_by_an_account_that_was_made(door: Door) -> None:
    door.invite("come in")
    door.register("taken", "correct horse")
    assert isinstance(error_of(door.register("taken", "x", "come in")), AccountExists)
    assert door.register("alice", "correct horse", "come in").result() == Registered("alice")
    error = error_of(door.register("bob", "correct horse", "come in"))
    assert isinstance(error, InviteRefused)
    assert "used up" in str(error)
    assert door.authenticator.account_names() == ["alice", "taken"]


@pytest.mark.parametrize("code", ["", "go away"])
def test_a_wrong_invitation_makes_no_account(door: Door, code: str) -> None:
    door.invite("come in")
    assert isinstance(error_of(door.register("alice", "correct horse", code)), InviteRefused)
    assert door.authenticator.account_names() == []


def test_an_expired_invitation_makes_no_account(door: Door) -> None:
    door.invite("come in", for_s=0)
    assert isinstance(error_of(door.register("alice", "x", "come in")), InviteRefused)


def test_an_invitation_is_for_the_account_that_it_names(door: Door) -> None:
    door.invite("come in", account="Alice", room="#x")
    assert isinstance(error_of(door.register("bob", "correct horse", "come in")), InviteRefused)
    assert door.register("alice", "correct horse", "come in").result() == Registered("alice", "#x")


def test_where_anybody_may_register_an_invitation_is_only_of_use_for_its_room(door: Door) -> None:
    door.invite("come in", room="#x")
    registered = [
        door.register(name, "correct horse", "come in", invited_only=False).result()
        for name in ("alice", "bob")
    ]
    assert registered == [Registered("alice", "#x"), Registered("bob")]


# ---- suspension ----


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("spam {again}", "This account is suspended: spam {again}"),
        ("", "This account is suspended"),
    ],
)
def test_only_who_has_proved_an_account_theirs_learns_that_it_is_suspended(
    door: Door, monkeypatch: pytest.MonkeyPatch, reason: str, text: str
) -> None:
    door.register("alice", "correct horse")
    door.register("bob", "correct horse")
    door.suspend("alice", reason)
    outcomes = []
    for account in ("alice", "bob", "nobody"):
        hashes = Hashes(monkeypatch)
        error = error_of(door.check(account, "wrong"))
        outcomes.append((type(error), str(error), hashes.made, hashes.checked))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    error = error_of(door.check("alice", "correct horse"))
    assert isinstance(error, AccountSuspended)
    assert str(error) == text
    door.store.call(lambda connection: Accounts(connection).suspend("alice", None))
    assert door.check("alice", "correct horse").result() == "alice"


def test_a_verifier_is_the_same_whether_its_account_is_suspended(door: Door) -> None:
    door.register("alice", "correct horse")
    before = door.verifier("alice")
    door.suspend("alice", "spam")
    assert door.verifier("alice") == before
    with pytest.raises(AccountSuspended, match="spam"):
        check_may_enter(door.stored("alice"))


def test_no_certificate_opens_a_suspended_account(door: Door) -> None:
    door.adopt("carol")
    door.suspend("carol", "spam")
    assert isinstance(error_of(door.adopt("carol")), AccountSuspended)


# ---- operators ----


def test_operators(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    phc = hash_password("correct horse", CHEAP.argon2)
    assert door.operator(phc, "correct horse")
    hashes = Hashes(monkeypatch)
    assert not door.operator(phc, "wrong")
    assert not door.operator(None, "correct horse")
    assert len(hashes.checked) == 2, "an unknown operator costs a hash as well"


def test_an_operators_hash_that_cannot_be_checked_is_answered(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the session would wait for ever."""
    assert not door.operator("damaged", "correct horse")
    assert "a password of the configuration cannot be checked" in caplog.text


# ---- when it is too much ----


class Gate:
    """Keeps a thread busy until it is opened."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        self.entered.set()
        assert self.leave.wait(LONG_TIMEOUT_S)


def test_a_flood_of_logins_is_told_to_come_again(path: Path) -> None:
    gate = Gate()
    store, hashers = StoreThread(SqliteDatabase(path)), HashWorkers(1, queue_limit=1)
    answers: SimpleQueue[Outcome[str]] = SimpleQueue()
    try:
        authenticator = Authenticator(
            CHEAP, store, hashers, clock=FakeClock(), wall_clock=lambda: NOW_S
        )
        hashers.submit(gate)
        assert gate.entered.wait(LONG_TIMEOUT_S)
        for _ in range(3):
            authenticator.check_password("nobody", "x", answers.put)
        busy = [answers.get(timeout=LONG_TIMEOUT_S) for _ in range(2)]
        assert all(isinstance(outcome.error, HashersBusy) for outcome in busy)
        with pytest.raises(HashersBusy, match="too many logins"):
            authenticator.register("alice", "x", None, answers.put)
        with pytest.raises(HashersBusy, match="too many logins"):
            authenticator.check_secret([], "x", lambda right: None)
    finally:
        gate.leave.set()
        hashers.close()  # drops the one that waits
        store.close()
    assert answers.empty()


def test_a_store_that_takes_no_more_is_told(door: Door) -> None:
    door.store.close()
    unused: list[Any] = []
    for ask in (
        lambda: door.authenticator.check_password("alice", "x", unused.append),
        lambda: door.authenticator.find_verifier("alice", unused.append),
        lambda: door.authenticator.adopt_certificate("alice", unused.append),
    ):
        with pytest.raises(StoreBusy):
            ask()
    assert isinstance(error_of(door.register("alice", "x")), StoreBusy), "hashed, then refused"
    assert unused == []


def test_no_password_and_no_secret_is_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    door.register("alice", "correct horse")
    door.check("alice", "correct horse")
    door.check("alice", "wrong horse")
    door.settle()
    shown = caplog.text + repr(vars(door.authenticator.throttle)) + repr(door.stored("alice"))
    assert "horse" not in shown
    assert "argon2id" not in shown
