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

An invite link, given as the address, leaves out what it answers: ``TRUST``, the nick if it is for
one nick only, and ``ROOMS``. The CA that it names is fetched in ``CONNECTION``, before the trial.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from securechat.client.assistant.answers import AccountChoice, Answers, Keep, Step, Trust
from securechat.client.assistant.ca_file import CaFile, read_ca
from securechat.client.assistant.checks import (
    Problems,
    check_command_line,
    check_login,
    check_new_account,
    check_nick,
    check_rooms,
    check_sayable,
)
from securechat.client.assistant.failures import Explanation, explain_failure
from securechat.client.assistant.refused import (
    account_words,
    invite_words,
    login_words,
    nick_of_invite_note,
    nick_words,
    somebody_note,
)
from securechat.client.assistant.result import (
    SetupResult,
    find_network,
    find_other_trust,
    keep_network,
    suggest_name,
    summarize,
)
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
from securechat.client.settings.address import Address, parse_address
from securechat.client.settings.invitation import Invitation, invite_code, read_invitation
from securechat.client.settings.profiles import Network
from securechat.client.words.refusals import reason
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import (
    ConfigError,
    ConnectionLost,
    InviteLinkError,
    PkiError,
    SecureChatError,
)
from securechat.invite_link import is_invite_link

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


class Setup:
    """The way through the steps. Owned by the user interface's thread, but for ``finish``.

    A face writes into ``answers``, calls ``next``, runs the attempt that may come of it and hands
    the verdict to ``take``, of which another attempt may come. ``problems`` has the names of fields
    of ``Answers`` and what is wrong with them, ``note`` what else there is to know,
    ``explanation`` why a trial has failed; all are in the language in use, and safe.

    :param networks: those that there are already, by name.
    :param nick: a suggestion.
    :param ca_file: a suggestion.
    :param wall_clock: returns the time, aware.
    """

    def __init__(
        self,
        *,
        networks: Mapping[str, Network] | None = None,
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
        self._networks = dict(networks or {})
        self._wall_clock = wall_clock
        self._address = Address("")
        self._invitation: Invitation | None = None
        self._invite_refused = False
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

    @property
    def invited(self) -> bool:
        """Whether the address is an invite link, which has answered more than that."""
        return self._invitation is not None

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
        if self._invitation is not None and self.step in (Step.CONNECTION, Step.NICK):
            self.step = Step.ADDRESS  # the link has answered all in between
            return
        if self.step is Step.CONNECTION and explanation is not None:
            self.step = Step.TRUST if explanation.mend == "trust" else Step.ADDRESS
            return
        before = {
            Step.NICK: Step.TRUST,  # there is nothing to change in between
            Step.ROOMS: Step.ACCOUNT if self.answers.account == "later" else Step.PASSWORD,
        }
        self.step = before.get(self.step, Step(max(self.step.value - 1, 1)))

    def take(self, attempt: Attempt, verdict: Verdict) -> Attempt | None:
        """Go on with what a trial of ``attempt`` has told, or say what is wrong.

        Returns what must be tried before it can be gone on.
        """
        event = verdict.event
        if isinstance(event, Disconnected):
            error = event.error or ConnectionLost(event.reason)
            self.explanation = self._explain(error)
        elif isinstance(event, CaFile):
            self._ca = event
            return self._probe()
        elif attempt.purpose == "probe":
            self.server = verdict.server
            self.connected = True
            return self._go_on_invited()
        elif isinstance(event, NickRejected):
            self._take_refused_nick(event, attempt, verdict.server)
        elif attempt.purpose == "nick":
            self._choose_account(attempt.nick, verdict.server, reserved=False)
        else:
            return self._take_account(event, attempt)
        return None

    def _explain(self, error: SecureChatError) -> Explanation:
        if self._invitation is None:
            return explain_failure(error, own_ca=self.answers.trust == "file")
        own_ca = self._invitation.link.ca is not None
        return explain_failure(error, own_ca=own_ca, invited=True)

    def _forget(self) -> None:
        self.problems = {}
        self.note = ""
        self.explanation = None

    def _wrong(self, field_name: str, text: str) -> None:
        self.problems.setdefault(field_name, text)

    @property
    def farewell(self) -> str:
        """What somebody must know who leaves now; empty: nothing of it all remains."""
        if self.step not in (Step.PASSWORD, Step.ROOMS) or self.answers.account == "later":
            return ""
        return _(
            "The account {account} is there. When you set this network up again, give the same "
            "password.",
            account=make_safe(self.answers.login.strip()),
        )

    # ---- where it is, and whom to trust ----

    @property
    def place(self) -> str:
        """The address as ``HOST:PORT``; of several relays, the first."""
        return self._address.place

    def look_at_ca(self) -> CaFile:
        """Read the file of the CA. Does file I/O.

        :raises PkiError: what is wrong with it.
        """
        text = self.answers.ca_file.strip()
        if not text:
            raise PkiError("choose the file of the CA")
        return read_ca(text, now=self._wall_clock())

    def _check_address(self) -> Attempt | None:
        text = self.answers.address
        try:
            invitation = read_invitation(text) if is_invite_link(text) else None
            self._address = invitation.address if invitation else parse_address(text)
        except (ConfigError, InviteLinkError) as error:
            self._wrong("address", make_safe(explain(error)))
            return None
        self._invitation, self._invite_refused = invitation, False
        if invitation is not None:
            return self._accept(invitation) if self._may_trust(invitation) else None
        self.answers.rooms = self.answers.rooms or self._address.room
        self.step = Step.TRUST
        return None

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
        if self._invitation is not None and self._invitation.link.ca and self._ca is None:
            sha256 = self._invitation.link.ca
            return Attempt("authority", self._address, None, "", ca_sha256=sha256)
        # Nine characters: all that some servers allow.
        return self._attempt("probe", f"guest{secrets.randbelow(10_000):04}")

    def _attempt(self, purpose: Purpose, nick: str) -> Attempt:
        ca = (self._ca.path or self._ca.pem) if self._ca is not None else None
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
            (self._code() if purpose == "register" else "") or "*",
        )

    # ---- what an invite link answers ----

    @property
    def nick_is_fixed(self) -> bool:
        """Whether the invite is for one nick only, and that is not to be asked for."""
        return self._invitation is not None and bool(self._invitation.link.account)

    @property
    def wants_code(self) -> bool:
        """Whether a new account needs an invitation code, a link with one, or an e-mail address,
        which is to be asked for.
        """
        if self._invitation is not None:
            return self._invite_refused
        return self.server.email_required

    def _may_trust(self, invitation: Invitation) -> bool:
        """Whether what is known already does not speak against the CA of the link."""
        name = find_other_trust(self._networks, self.place, invitation.link.ca)
        if name:
            text = _(
                "you know this server as the network {name}, by another CA than the one of this "
                "link. Perhaps the server has a new one; but somebody may also want to lead you to "
                "a false server, for your password. Ask the person who runs the server, by phone "
                "or face to face. Only if it has a new CA, take the network {name} out of your "
                "profiles (profiles.toml), and follow the link again.",
                name=make_safe(name),
            )
            self._wrong("address", text)
        return not name

    def _accept(self, invitation: Invitation) -> Attempt:
        self._ca = None
        self.connected = False
        self.answers.nick = invitation.link.account or self.answers.nick
        self.answers.rooms = invitation.link.room
        self.step = Step.CONNECTION
        return self._probe()

    def _go_on_invited(self) -> Attempt | None:
        if self._invitation is None:
            return None
        self.step = Step.NICK
        return self._check_nick() if self.nick_is_fixed else None

    def _code(self) -> str:
        if self._invitation is not None and not self._invite_refused:
            return self._invitation.code
        return invite_code(self.answers.email, {self.place, *map(str, self._address.others)})

    # ---- who we are ----

    def _check_nick(self) -> Attempt | None:
        self.problems = check_nick(self.answers)
        return None if self.problems else self._attempt("nick", self.answers.nick.strip())

    def _take_refused_nick(self, event: NickRejected, attempt: Attempt, server: Server) -> None:
        if event.reserved and attempt.purpose == "nick":
            self._choose_account(attempt.nick, server, reserved=True)
            return
        self.step = Step.NICK
        if self.nick_is_fixed:
            self.note = nick_of_invite_note(event.nick)
        self._wrong("nick", nick_words(event))

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
        if given.login != nick:
            self._invite_refused = False  # it may have been for another one
        if given.login != nick or given.account not in self.account_choices:
            preferred: tuple[AccountChoice, ...] = ("register", "later", "login")
            given.account = next(one for one in preferred if one in self.account_choices)
        given.login = nick
        if reserved:
            self.note = somebody_note(nick, only=self.nick_is_fixed)
        elif server.account_required and self._invitation is None:
            self.note = _("This server lets in only people with an account.")

    # ---- the account ----

    def _check_account(self) -> Attempt | None:
        choice, nick = self.answers.account, self.answers.nick.strip()
        if choice == "later":
            self._begin_rooms()
            return None
        if choice == "login":
            self.problems = check_login(self.answers)
        else:
            self.problems = self._check_new_account(nick)
        return None if self.problems else self._attempt(choice, nick)

    def _check_new_account(self, nick: str) -> Problems:
        found = check_new_account(self.answers, nick, wants_code=self.wants_code)
        if found:
            return found
        try:
            code = self._code()
        except (ConfigError, InviteLinkError) as error:
            return {"email": make_safe(explain(error))}
        return check_sayable("email", "REGISTER", "*", code or "*", "x")

    def _take_account(self, event: Event, attempt: Attempt) -> Attempt | None:
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
                if self._invitation is not None:
                    self.note = somebody_note(attempt.nick, only=self.nick_is_fixed)
                self._wrong("password", login_words(event))
            case Failure(code="ACCOUNT_EXISTS") if self._invitation is not None:
                return self._log_in_instead(attempt)
            case Failure(code="INVALID_EMAIL") if self._invitation is not None:
                self._invite_refused = True
                self.answers.email = ""
                self._wrong("email", invite_words())
            case Failure():
                self._wrong(*account_words(event))
            case _:
                pass
        return None

    def _log_in_instead(self, attempt: Attempt) -> Attempt:
        """The account is there: by the same link, opened once more, if the password is right."""
        self.answers.account = "login"
        self.answers.login = attempt.nick
        return self._attempt("login", attempt.nick)

    def _account_made(self, attempt: Attempt) -> None:
        # Whoever comes back to this step has an account, and cannot make it a second time.
        self.answers.account = "login"
        self.answers.login = attempt.nick
        self.account_choices = ("login",)

    # ---- the password ----

    def _check_password(self) -> None:
        if self.answers.keep == "command":
            self.problems = check_command_line(self.answers)
        if not self.problems:
            self._begin_rooms()

    # ---- rooms, name, the end ----

    def summary(self) -> tuple[str, ...]:
        """Return what has been settled, line by line, safe."""
        return summarize(self.answers, self._address.places, self._ca)

    def _begin_rooms(self) -> None:
        given = self.answers
        given.network = self._known_name() or given.network or self._suggested_name()
        self.step = Step.ROOMS
        if self._invitation is not None:
            self._check_rooms()

    def _known_name(self) -> str:
        """The network to which an invite has led before; empty if it has not."""
        if self._invitation is None:
            return ""
        return find_network(self._networks, self.place, self.answers.login.strip())

    def _suggested_name(self) -> str:
        sources = (self.server.network, self._address.host)
        return suggest_name(sources, {name.lower() for name in self._networks})

    def _check_rooms(self) -> None:
        taken = {name.lower() for name in self._networks if name != self._known_name()}
        self.problems = check_rooms(self.answers, taken)
        if not self.problems:
            self.step = Step.DONE

    def finish(self, folder: Path) -> SetupResult:
        """Keep the CA in ``folder``, and the password where the user wants it; return the network.

        For any thread, while nobody else uses this object. Blocks: it does file I/O, and a keyring
        may ask the user to open it.

        :raises SecureChatError: something cannot be kept.
        """
        known = self._networks.get(self._known_name())
        return keep_network(folder, self.answers, self._address, self._ca, known)

    def not_finished(self, error: SecureChatError) -> None:
        """Say why ``finish`` has failed, where it can be tried again."""
        self.step = Step.ROOMS
        self._wrong("network", make_safe(explain(error)))
