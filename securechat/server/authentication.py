"""Logins and registrations: passwords, verifiers, certificates, and how often one may fail.

The answer for an unknown account and for a wrong password is the same, in text and in time: an
unknown account is checked against a decoy hash of the same cost, and challenged with a salt that is
made from its name, so that it stays the same when asked again. (After a change of the Argon2
parameters an account that has not logged in since still takes the time of the old ones.) That an
account is suspended is told only to whoever has proved that it is theirs.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from securechat.errors import SecureChatError
from securechat.irc.sasl import SCRAM_ITERATIONS, ScramVerifier
from securechat.net.timers import Clock
from securechat.server.config import AccountsConfig
from securechat.server.credentials import SALT_BYTES, make_credentials
from securechat.server.hash_workers import HashWorkers
from securechat.server.login_throttle import LoginThrottle
from securechat.server.names import ASCII_NAMES, Fold
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.accounts import Account, Accounts
from securechat.store.certificates import AccountCertificates
from securechat.store.connection import Connection
from securechat.store.invites import Invites
from securechat.store.passwords import hash_password, needs_upgrade, verify_password
from securechat.store.secrets import RelaySecrets

__all__ = [
    "AccountSuspended",
    "Authenticator",
    "CertificateRefused",
    "InviteRefused",
    "Registered",
    "Reply",
    "certificate_account",
    "check_may_enter",
]

_log = logging.getLogger(__name__)

_SECRET_BYTES: Final = 32

_INVITE_REFUSED: Final = (
    "this invitation code is unknown, used up or expired, or it is for another account"
)

Reply = Callable[[Outcome[str]], None]
"""Told the account that somebody now is, or the error; on a worker thread, so it must only post."""


class AccountSuspended(SecureChatError):
    """The account was proved to be theirs, but nobody may use it; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This account is suspended: {reason}".removesuffix(": "))


class InviteRefused(SecureChatError):
    """The invitation code is unknown, used up, expired, or for another account."""


class CertificateRefused(SecureChatError):
    """The certificate does not open the account."""


class _WrongPassword(SecureChatError):
    pass


@dataclass(frozen=True, slots=True)
class Registered:
    """An account that was registered. Immutable.

    ``room``: which its invite opens to it; empty without one.
    """

    name: str
    room: str = ""


class Authenticator:
    """Checks who somebody is. Safe from any thread; nothing blocks but the constructor.

    :raises StoreError: the store cannot be read.
    """

    def __init__(
        self,
        config: AccountsConfig,
        store: StoreThread,
        hashers: HashWorkers,
        *,
        clock: Clock,
        wall_clock: Clock,
        fold: Fold = ASCII_NAMES.fold,
    ) -> None:
        self._config = config
        self._fold = fold
        self._store = store
        self._hashers = hashers
        self._wall_clock = wall_clock
        self._secret = self.relay_secret("scram-decoy")
        self._decoy = hash_password(secrets.token_urlsafe(), config.argon2)
        self.throttle = LoginThrottle(config.failures_per_minute, clock, fold)

    def configure(self, config: AccountsConfig) -> None:
        """Go by other settings from now on."""
        self._config = config
        self.throttle.per_minute = config.failures_per_minute

    def relay_secret(self, name: str) -> bytes:
        """Return a random secret of this relay, the same after a restart. Blocks: for start-up."""
        return self._store.call(
            lambda connection: RelaySecrets(connection).get_or_create(
                name, lambda: os.urandom(_SECRET_BYTES)
            )
        )

    def account_names(self) -> list[str]:
        """Return the names of all accounts. Blocks: for start-up."""
        return [name for _, name in self._store.call(lambda c: Accounts(c).names())]

    # ---- logins ----

    def check_password(
        self, account: str, password: str, reply: Reply, *, factor: str | None = None
    ) -> None:
        """Check a password (prepared) against the account's hash, upgrading the hash if it is old.

        :param factor: the fingerprint of the client's certificate (empty: it has none) where the
            account demands one of its own besides; ``None`` where it does not.
        :raises StoreBusy: nothing was begun.
        """

        def check(outcome: Outcome[_Found]) -> None:
            try:
                found = outcome.result()
                self._hashers.submit(lambda: reply(self._verify(found, password)))
            except SecureChatError as error:
                reply(Outcome(error=error))

        self._store.submit(lambda connection: _find(connection, self._fold(account), factor), check)

    def find_verifier(
        self,
        account: str,
        reply: Callable[[Outcome[tuple[Account | None, ScramVerifier]]], None],
        *,
        factor: str | None = None,
    ) -> None:
        """Find the SCRAM verifier of an account, and the account if a proof can be of use.

        It is ``None`` for an unknown account, whose verifier is a decoy, and without the
        certificate that the account demands: no proof will do then, and what is said is the same.
        Whether it is suspended is to be asked once there is a proof: ``check_may_enter``; and
        whether it is still the same at the end: ``confirm``.

        :param factor: as for ``check_password``.
        :raises StoreBusy: nothing was begun.
        """

        def find(outcome: Outcome[_Found]) -> None:
            try:
                account_found, complete = outcome.result()
                if account_found is None or not account_found.scram:
                    reply(Outcome((None, self._decoy_verifier(account))))
                    return
                verifier = ScramVerifier.from_text(account_found.scram)
                reply(Outcome((account_found if complete else None, verifier)))
            except SecureChatError as error:
                reply(Outcome(error=error))

        self._store.submit(lambda connection: _find(connection, self._fold(account), factor), find)

    def confirm(self, account: Account, reply: Reply) -> None:
        """Check that an account is what it was when its verifier was found; raises as above.

        A client may take its time for a proof: meanwhile the password can have been changed, or the
        account deleted and its name given to somebody else.
        """

        def check(connection: Connection) -> str:
            found = Accounts(connection).get(self._fold(account.name))
            if found is None or found.scram != account.scram:
                raise _WrongPassword("the account has changed since the login was begun")
            check_may_enter(found)
            return found.name

        self._store.submit(check, reply)

    def logged_in(self, account: str) -> None:
        """Note the time of a login; a failure to do so is logged and no more."""
        now = self._wall_clock()

        def note(outcome: Outcome[None]) -> None:
            if outcome.error is not None:
                _log.warning("the time of a login was not kept: %s", outcome.error)

        try:
            self._store.submit(lambda c: Accounts(c).touch_login(self._fold(account), now), note)
        except SecureChatError as error:
            note(Outcome(error=error))

    # ---- registration ----

    def register(
        self,
        account: str,
        password: str,
        invite: str | None,
        reply: Callable[[Outcome[Registered]], None],
        *,
        invited_only: bool = True,
    ) -> None:
        """Create an account with a password (prepared), using up ``invite`` if one is given.

        The reply's error is ``AccountExists``, ``InviteRefused``, or that of a failing store.

        :param invited_only: without it an invite that opens nothing is no reason to refuse.

        :raises HashersBusy: nothing was begun.
        """

        def hash_it() -> None:
            try:
                credentials = make_credentials(password, self._config.argon2)
                self._create(account, credentials, invite, reply, invited_only=invited_only)
            except SecureChatError as error:
                reply(Outcome(error=error))

        self._hashers.submit(hash_it)

    def adopt_certificate(
        self,
        account: str,
        reply: Callable[[Outcome[Account]], None],
        *,
        fingerprint: str = "",
        wanted: str = "",
    ) -> None:
        """Find the account that a certificate opens, creating that which it is made out to.

        One that is created has no password: only the certificate opens it. The reply's error is
        ``CertificateRefused``, ``AccountSuspended``, or that of a failing store.

        :param account: whom the certificate names; empty if that cannot be an account.
        :param fingerprint: its own, by which other accounts may know it.
        :param wanted: the account that the client asks for; empty for whichever it is. Without
            being asked for, an account that knows the certificate is found only if the certificate
            names none: nobody shall be led into another's account by what that one has added.
        :raises StoreBusy: nothing was begun.
        """
        now = self._wall_clock()

        def find_or_create(connection: Connection) -> Account:
            accounts = Accounts(connection)
            found: Account | None
            key = self._fold(wanted or account)
            if account and key == self._fold(account):
                found = accounts.get_or_create(account, key, "", "", now)
            else:
                owner = AccountCertificates(connection).find(fingerprint)
                found = accounts.get(owner) if owner is not None and key in ("", owner) else None
            if found is None:
                raise CertificateRefused("the certificate is for no account, or for another")
            check_may_enter(found)
            return found

        self._store.submit(find_or_create, reply)

    def check_secret(
        self, hashes: Sequence[str], password: str, reply: Callable[[bool], None]
    ) -> None:
        """Check a password (prepared) of the configuration against the hashes that it may be of.

        None at all, for an unknown operator, takes as long as one.

        :raises HashersBusy: nothing was begun.
        """

        def check() -> None:
            try:
                right = any(verify_password(password, item) for item in hashes or [self._decoy])
            except SecureChatError as error:
                _log.warning("a password of the configuration cannot be checked: %s", error)
                right = False
            reply(right and bool(hashes))

        self._hashers.submit(check)

    def _verify(self, found: _Found, password: str) -> Outcome[str]:
        account, complete = found
        usable = account is not None and account.password_hash != ""
        stored = account.password_hash if account is not None and usable else self._decoy
        try:
            right = verify_password(password, stored)
        except SecureChatError as error:
            return Outcome(error=error)
        if account is None or not usable or not right:
            return Outcome(error=_WrongPassword("wrong account or password"))
        if not complete:
            return Outcome(error=_WrongPassword("the certificate is missing that is demanded"))
        try:
            check_may_enter(account)
        except AccountSuspended as error:
            return Outcome(error=error)
        if needs_upgrade(stored, self._config.argon2):
            self._upgrade(account, password)
        return Outcome(account.name)

    def _upgrade(self, account: Account, password: str) -> None:
        """Hash the password anew; a failure to do so is logged and no more: the login is right."""

        def note(outcome: Outcome[bool]) -> None:
            if outcome.error is not None:
                _log.warning("a password hash was not upgraded: %s", outcome.error)

        try:
            hashed, scram = make_credentials(password, self._config.argon2)
            self._store.submit(
                lambda connection: Accounts(connection).upgrade_credentials(
                    self._fold(account.name), account.password_hash, hashed, scram
                ),
                note,
            )
        except SecureChatError as error:
            note(Outcome(error=error))

    def _create(
        self,
        account: str,
        credentials: tuple[str, str],
        invite: str | None,
        reply: Callable[[Outcome[Registered]], None],
        *,
        invited_only: bool,
    ) -> None:
        now = self._wall_clock()

        def create(accounts: Accounts, invites: Invites) -> Registered:
            opened = None
            if invite is not None:
                opened = invites.redeem(invite, now, account, self._fold)
                if opened is None and invited_only:
                    raise InviteRefused(_INVITE_REFUSED)
            created = accounts.create(account, self._fold(account), *credentials, now)
            return Registered(created.name, opened.room if opened is not None else "")

        self._store.submit(lambda c: create(Accounts(c), Invites(c)), reply)

    def _decoy_verifier(self, account: str) -> ScramVerifier:
        seed = hmac.digest(self._secret, self._fold(account).encode(), "sha512")
        return ScramVerifier(
            salt=seed[:SALT_BYTES],
            iterations=SCRAM_ITERATIONS,
            stored_key=seed[16:48],
            server_key=seed[32:],
        )


_Found = tuple[Account | None, bool]
"""An account, and whether the client has shown the certificate that it demands, if it does."""


def _find(connection: Connection, key: str, factor: str | None) -> _Found:
    found = Accounts(connection).get(key)
    if factor is None:
        return found, True
    held = AccountCertificates(connection).list(key)
    return found, factor in {certificate.fingerprint for certificate in held}


def check_may_enter(account: Account) -> None:
    """Check that ``account``, which was proved to be somebody's, may be used.

    :raises AccountSuspended: it may not.
    """
    if account.suspended is not None:
        raise AccountSuspended(account.suspended)


def certificate_account(certificate: bytes) -> str | None:
    """Return the common name of a certificate (DER, verified by TLS), ``None`` without just one."""
    names = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(names[0].value) if len(names) == 1 else None
