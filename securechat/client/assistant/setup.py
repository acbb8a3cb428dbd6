"""Setting up a network, step by step, without a face: what is asked, what is checked, what failed.

``Setup`` is where the user is and what has been answered so far; a face shows its step and hands in
the answers. What only the server can tell is found out by a ``Trial``: a real connection, which is
verified like any other. There is no way to go on without one.

::

    ADDRESS     where the network is
    TRUST       the CA
    CONNECTION  a trial: TLS, the certificate, IRC
    NICK        a trial: is it free, reserved, refused
    ACCOUNT     a trial: log in, or make an account; or neither
    PASSWORD    where it is kept; without an account there is no such step
    ROOMS       what is joined, and how the network is called here
    DONE
"""

from __future__ import annotations

import enum
import itertools
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from securechat.client.assistant.ca_file import CaFile, read_ca
from securechat.client.assistant.failures import Explanation, explain_failure
from securechat.client.assistant.trial import Attempt, Purpose, Server, Verdict
from securechat.client.events import (
    Disconnected,
    Event,
    Failure,
    LoginRejected,
    NickRejected,
    Registered,
    VerificationRequired,
    Welcome,
)
from securechat.client.protocol import check_command
from securechat.client.settings.address import ROOM_BYTES, Address, parse_address
from securechat.client.settings.passwords import store_in_keyring
from securechat.client.settings.profile_file import store_ca
from securechat.client.settings.profiles import Network, PasswordSource, is_network_name
from securechat.client.words.refusals import reason, refusal
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import (
    ConfigError,
    ConnectionLost,
    PkiError,
    SecureChatError,
)
from securechat.irc import numerics
from securechat.irc.names import is_channel_name
from securechat.irc.sasl import prepare_password
from securechat.net.listener import format_address

__all__ = [
    "AccountChoice",
    "Answers",
    "Explanation",
    "Keep",
    "Setup",
    "SetupResult",
    "Step",
    "Trust",
    "explain_failure",
]

_NAME_CHARACTERS: Final = 40
"""The longest name of a network (``profiles.is_network_name``)."""

Trust = Literal["file", "system"]
"""Whom to trust: the CA in a file, or those that this system trusts."""

AccountChoice = Literal["login", "register", "later"]
"""Log in, make an account of the nick, or do without."""

Keep = Literal["prompt", "keyring", "command"]
"""Where the password is to be found at the next start."""


class Step(enum.Enum):
    """The steps in their order."""

    ADDRESS = enum.auto()
    TRUST = enum.auto()
    CONNECTION = enum.auto()
    NICK = enum.auto()
    ACCOUNT = enum.auto()
    PASSWORD = enum.auto()
    ROOMS = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True)
class Answers:
    """What the user has answered so far, as it was typed."""

    address: str = ""
    trust: Trust = "file"
    ca_file: str = ""
    nick: str = ""
    realname: str = ""
    account: AccountChoice = "later"
    login: str = ""  # the account to log in to
    password: str = field(default="", repr=False)
    again: str = field(default="", repr=False)
    email: str = field(default="", repr=False)  # or the invitation code
    keep: Keep = "prompt"
    command: str = ""
    rooms: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class SetupResult:
    """A network that works: how it is called, its profile, and the password for now. Immutable."""

    network_name: str
    network: Network
    password: str | None = field(repr=False)


class Setup:
    """The way through the steps. Owned by the user interface's thread, but for ``finish``.

    A face writes into ``answers``, calls ``next``, runs the attempt that may come of it and hands
    the verdict to ``take``. ``problems`` has the names of fields of ``Answers`` and what is wrong
    with them, ``note`` what else there is to know, ``explanation`` why a trial has failed; all are
    in the language in use, and safe.

    :param taken: the names of the networks that there are already.
    :param nick: a suggestion.
    :param ca_file: a suggestion.
    :param wall_clock: returns the time, aware.
    """

    def __init__(
        self,
        *,
        taken: Collection[str] = (),
        nick: str = "",
        ca_file: Path | None = None,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.answers = Answers(nick=nick, ca_file=str(ca_file or ""))
        self.step = Step.ADDRESS
        self.problems: dict[str, str] = {}
        self.note = ""
        self.explanation: Explanation | None = None
        self.server = Server()
        self.connected = False  # a trial of this address and CA has come through
        self.account_choices: tuple[AccountChoice, ...] = ()
        self._taken = {name.lower() for name in taken}
        self._wall_clock = wall_clock
        self._address = Address("")
        self._ca: CaFile | None = None
        self._checks: Final[Mapping[Step, Callable[[], Attempt | None]]] = {
            Step.ADDRESS: self._check_address,
            Step.TRUST: self._check_trust,
            Step.CONNECTION: self._check_connection,
            Step.NICK: self._check_nick,
            Step.ACCOUNT: self._check_account,
            Step.PASSWORD: self._check_password,
            Step.ROOMS: self._check_rooms,
        }

    # ---- going on and back ----

    def next(self) -> Attempt | None:
        """Check the answers of this step, and go on if nothing is wrong with them.

        Returns what must be tried before it can be gone on. Reads the file of the CA.
        """
        self._forget()
        check = self._checks.get(self.step)
        return check() if check is not None else None

    def back(self) -> None:
        """Go back: to where a failure can be mended, else to the step before."""
        explanation = self.explanation
        self._forget()
        if self.step is Step.CONNECTION and explanation is not None:
            self.step = Step.TRUST if explanation.mend == "trust" else Step.ADDRESS
            return
        before = {
            Step.NICK: Step.TRUST,  # there is nothing to change in between
            Step.ROOMS: Step.ACCOUNT if self.answers.account == "later" else Step.PASSWORD,
        }
        self.step = before.get(self.step, Step(max(self.step.value - 1, 1)))

    def take(self, attempt: Attempt, verdict: Verdict) -> None:
        """Go on with what a trial of ``attempt`` has told, or say what is wrong."""
        event = verdict.event
        if isinstance(event, Disconnected):
            error = event.error or ConnectionLost(event.reason)
            own_ca = self.answers.trust == "file"
            self.explanation = explain_failure(error, own_ca=own_ca)
        elif attempt.purpose == "probe":
            self.server = verdict.server
            self.connected = True
        elif isinstance(event, NickRejected):
            self._take_refused_nick(event, attempt, verdict.server)
        elif attempt.purpose == "nick":
            self._choose_account(attempt.nick, verdict.server, reserved=False)
        else:
            self._take_account(event, attempt)

    def _forget(self) -> None:
        self.problems = {}
        self.note = ""
        self.explanation = None

    def _wrong(self, field_name: str, text: str) -> None:
        self.problems.setdefault(field_name, text)

    # ---- where it is, and whom to trust ----

    @property
    def place(self) -> str:
        """The address as ``HOST:PORT``."""
        return format_address(self._address.host, self._address.port)

    def look_at_ca(self) -> CaFile:
        """Read the file of the CA. Does file I/O.

        :raises PkiError: what is wrong with it.
        """
        text = self.answers.ca_file.strip()
        if not text:
            raise PkiError("choose the file of the CA")
        return read_ca(text, now=self._wall_clock())

    def _check_address(self) -> None:
        try:
            self._address = parse_address(self.answers.address)
        except ConfigError as error:
            self._wrong("address", make_safe(explain(error)))
            return
        self.answers.rooms = self.answers.rooms or self._address.room
        self.step = Step.TRUST

    def _check_trust(self) -> Attempt | None:
        try:
            self._ca = self.look_at_ca() if self.answers.trust == "file" else None
        except PkiError as error:
            self._wrong("ca_file", explain(error))
            return None
        self.connected = False
        self.step = Step.CONNECTION
        return self._probe()

    def _check_connection(self) -> Attempt | None:
        if not self.connected:
            return self._probe()
        self.step = Step.NICK
        return None

    def _probe(self) -> Attempt:
        # Nine characters: all that some servers allow.
        return self._attempt("probe", f"guest{secrets.randbelow(10_000):04}")

    def _attempt(self, purpose: Purpose, nick: str) -> Attempt:
        ca = self._ca.path if self._ca is not None else None
        if purpose == "probe":
            return Attempt(purpose, self._address, ca, nick)
        given = self.answers
        return Attempt(
            purpose,
            self._address,
            ca,
            nick,
            given.realname.strip(),
            given.login.strip() if purpose == "login" else "",
            given.password or None,
            given.email.strip() or "*",
        )

    # ---- who we are ----

    def _check_nick(self) -> Attempt | None:
        nick, realname = self.answers.nick.strip(), self.answers.realname.strip()
        if not nick or " " in nick:
            self._wrong("nick", _("a nick is one word"))
        self._check_sayable("nick", "NICK", nick)
        self._check_sayable("realname", "USER", "user", "0", "*", realname)
        return None if self.problems else self._attempt("nick", nick)

    def _check_sayable(self, field_name: str, command: str, *params: str) -> None:
        try:
            check_command(command, *params)
        except SecureChatError as error:
            self._wrong(field_name, make_safe(explain(error)))

    def _take_refused_nick(self, event: NickRejected, attempt: Attempt, server: Server) -> None:
        if event.reserved and attempt.purpose == "nick":
            self._choose_account(attempt.nick, server, reserved=True)
            return
        self.step = Step.NICK
        self._wrong(
            "nick",
            _(
                "the server does not take the nick {nick}: {reason}",
                nick=make_safe(event.nick),
                reason=reason(event.text),
            ),
        )

    def _choose_account(self, nick: str, server: Server, *, reserved: bool) -> None:
        """Go on to the account of a nick that the server would take, or has reserved."""
        self.server = server
        may: Mapping[AccountChoice, bool] = {
            "login": server.can_log_in,
            "register": server.can_register and not reserved,
            "later": not reserved and not server.account_required,
        }
        self.account_choices = tuple(choice for choice, possible in may.items() if possible)
        if not self.account_choices:
            self.step = Step.NICK
            self._wrong("nick", _("this nick needs a login, and the server offers none"))
            return
        self.step = Step.ACCOUNT
        given = self.answers
        if given.login != nick or given.account not in self.account_choices:
            preferred: tuple[AccountChoice, ...] = ("register", "later", "login")
            given.account = next(one for one in preferred if one in self.account_choices)
        given.login = nick
        if reserved:
            self.note = _(
                "The nick {nick} belongs to an account. If it is yours, log in; if not, go back "
                "and take another nick.",
                nick=make_safe(nick),
            )
        elif server.account_required:
            self.note = _("This server lets in only people with an account.")

    # ---- the account ----

    def _check_account(self) -> Attempt | None:
        choice, nick = self.answers.account, self.answers.nick.strip()
        if choice == "later":
            self._begin_rooms()
            return None
        try:
            prepare_password(self.answers.password)
        except SecureChatError as error:
            self._wrong("password", explain(error))
        if choice == "login":
            self._check_login()
        else:
            self._check_new_account(nick)
        return None if self.problems else self._attempt(choice, nick)

    def _check_login(self) -> None:
        login = self.answers.login.strip()
        if not login or " " in login:
            self._wrong("login", _("an account is one word"))
        self._check_sayable("login", "ACCOUNT", login)

    def _check_new_account(self, nick: str) -> None:
        given = self.answers
        if given.password != given.again:
            self._wrong("again", _("the two passwords differ"))
        if given.password.casefold() == nick.casefold():
            self._wrong("password", _("the nick is no password: it is the first that is tried"))
        email = given.email.strip()
        if self.server.email_required and not email:
            self._wrong("email", _("this server wants an invitation code or an e-mail address"))
        if not self.problems:
            self._check_sayable("email", "REGISTER", "*", email or "*", "x")
            self._check_sayable("password", "REGISTER", "*", "*", given.password)

    def _take_account(self, event: Event, attempt: Attempt) -> None:
        match event:
            case Welcome():
                self.server = replace(self.server, network=event.network)
                self.step = Step.PASSWORD
            case Registered():
                self._account_made(attempt)
                self.step = Step.PASSWORD
            case VerificationRequired():
                self._account_made(attempt)
                self.note = _(
                    "The account was made, but the server must make sure that it is you. Do what "
                    "it says, then log in: {text}",
                    text=reason(event.text),
                )
            case LoginRejected():
                self._wrong("password", _login_words(event))
            case Failure():
                self._take_refused_account(event)
            case _:
                pass

    def _account_made(self, attempt: Attempt) -> None:
        # Whoever comes back to this step has an account, and cannot make it a second time.
        self.answers.account = "login"
        self.answers.login = attempt.nick
        self.account_choices = ("login",)

    def _take_refused_account(self, event: Failure) -> None:
        field_name = _FIELD_OF_REFUSAL.get(event.code, "account")
        words = refusal(event.code, event.text)
        self._wrong(field_name, _("the server says no: {reason}", reason=words))

    # ---- the password ----

    def _check_password(self) -> None:
        if self.answers.keep == "command":
            self._check_password_command()
        if not self.problems:
            self._begin_rooms()

    def _check_password_command(self) -> None:
        try:
            words = shlex.split(self.answers.command)
        except ValueError:
            self._wrong("command", _("a quotation mark has no end"))
            return
        if not words:
            self._wrong("command", _("give the command that prints the password"))
        elif shutil.which(words[0]) is None:
            name = make_safe(words[0])
            self._wrong("command", _("there is no program {name} on this computer", name=name))

    # ---- rooms, name, the end ----

    def summary(self) -> tuple[str, ...]:
        """Return what has been settled, line by line, safe."""
        given = self.answers
        lines = [
            _("Server: {place}", place=self.place),
            _("Trusted: {name}", name=self._trusted()),
            _("Nick: {nick}", nick=make_safe(given.nick.strip())),
        ]
        if given.account == "later":
            return (*lines, _("Account: none"))
        keeps = {
            "prompt": _("Password: asked for at each start"),
            "keyring": _("Password: kept in the keyring of this system"),
            "command": _("Password: printed by a command"),
        }
        account = _("Account: {account}", account=make_safe(given.login.strip()))
        return (*lines, account, keeps[given.keep])

    def _trusted(self) -> str:
        if self._ca is None:
            return _("the CAs of this system")
        return ", ".join(authority.name for authority in self._ca.authorities)

    def _begin_rooms(self) -> None:
        self.answers.network = self.answers.network or self._suggested_name()
        self.step = Step.ROOMS

    def _suggested_name(self) -> str:
        for source in (self.server.network, self._address.host):
            name = re.sub(r"[^\w.-]+", "-", source).strip("-_.")[: _NAME_CHARACTERS - 3]
            if is_network_name(name):
                break
        else:
            name = "chat"
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        return next(one for one in itertools.chain((name,), numbered) if not self._is_taken(one))

    def _is_taken(self, name: str) -> bool:
        return name.lower() in self._taken

    def _check_rooms(self) -> None:
        name = self.answers.network.strip()
        if not is_network_name(name):
            self._wrong("network", _("a name has up to 40 letters, digits, -, _ and ."))
        elif self._is_taken(name):
            self._wrong("network", _("there is a network of this name already"))
        for room in self._rooms():
            if not is_channel_name(room, ROOM_BYTES):
                self._wrong("rooms", _("this cannot be a room: {room}", room=make_safe(room)))
        if not self.problems:
            self.step = Step.DONE

    def _rooms(self) -> tuple[str, ...]:
        names = (name.strip() for name in self.answers.rooms.split(","))
        return tuple(name if name.startswith("#") else f"#{name}" for name in names if name)

    def finish(self, folder: Path) -> SetupResult:
        """Keep the CA in ``folder``, and the password where the user wants it; return the network.

        For any thread, while nobody else uses this object. Blocks: it does file I/O, and a keyring
        may ask the user to open it.

        :raises SecureChatError: something cannot be kept.
        """
        given = self.answers
        name, nick = given.network.strip(), given.nick.strip()
        account = "" if given.account == "later" else given.login.strip()
        ca = store_ca(folder, name, self._ca.pem) if self._ca is not None else None
        source = None
        if account:
            source = PasswordSource(given.keep)
            if given.keep == "command":
                source = PasswordSource("command", run=tuple(shlex.split(given.command)))
            elif given.keep == "keyring":
                store_in_keyring(given.password, network=self.place, account=account)
        network = Network(
            self._address.host,
            nick,
            port=self._address.port,
            ca=ca,
            account="" if account == nick else account,
            realname=given.realname.strip(),
            password=source,
            rooms=self._rooms(),
        )
        return SetupResult(name, network, given.password if account else None)

    def not_finished(self, error: SecureChatError) -> None:
        """Say why ``finish`` has failed, where it can be tried again."""
        self.step = Step.ROOMS
        self._wrong("network", make_safe(explain(error)))


_FIELD_OF_REFUSAL: Final = {
    "INVALID_EMAIL": "email",
    "UNACCEPTABLE_EMAIL": "email",
    "UNACCEPTABLE_PASSWORD": "password",
    "WEAK_PASSWORD": "password",
}
"""The field that a refusal of REGISTER is about; otherwise it is the account as such."""


def _login_words(event: LoginRejected) -> str:
    words = refusal(event.code, event.text)
    if event.code != numerics.ERR_SASLFAIL:
        return words
    return _("account and password do not fit together (the server says: {reason})", reason=words)
