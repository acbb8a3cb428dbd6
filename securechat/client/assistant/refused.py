"""What a server has refused in a trial, in plain words: what it was, and what can be done.

All texts are in the language in use, and safe.
"""

from __future__ import annotations

from typing import Final

from securechat.client.events import Failure, LoginRejected, NickRejected
from securechat.client.words.refusals import reason, refusal
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.irc import numerics

__all__ = [
    "account_words",
    "invite_words",
    "login_words",
    "nick_of_invite_note",
    "nick_words",
    "somebody_note",
]

_FIELD_OF_REFUSAL: Final = {
    "INVALID_EMAIL": "email",
    "UNACCEPTABLE_EMAIL": "email",
    "UNACCEPTABLE_PASSWORD": "password",
    "WEAK_PASSWORD": "password",
}
"""The field that a refusal of REGISTER is about; otherwise it is the account as such."""


def account_words(event: Failure) -> tuple[str, str]:
    """Return which field a refused registration is about, and why it was refused."""
    words = refusal(event.code, event.text)
    field_name = _FIELD_OF_REFUSAL.get(event.code, "account")
    return field_name, _("the server says no: {reason}", reason=words)


def invite_words() -> str:
    """Return that the invite by which somebody came does not let them in."""
    return _(
        "the server does not take the invite: it is used up, withdrawn or expired, or it is for "
        "another nick. Ask for a new link, and give it here."
    )


def login_words(event: LoginRejected) -> str:
    """Return why a login was refused."""
    words = refusal(event.code, event.text)
    if event.code != numerics.ERR_SASLFAIL:
        return words
    return _("account and password do not fit together (the server says: {reason})", reason=words)


def nick_words(event: NickRejected) -> str:
    """Return why a nick was refused."""
    return _(
        "the server does not take the nick {nick}: {reason}",
        nick=make_safe(event.nick),
        reason=reason(event.text),
    )


def nick_of_invite_note(nick: str) -> str:
    """Return what can be done where the only nick of an invite was refused."""
    return _(
        "The invite is for the nick {nick} only. Try again later, or ask for another one.",
        nick=make_safe(nick),
    )


def somebody_note(nick: str, *, only: bool) -> str:
    """Return that a nick is that of an account, and what can be done.

    :param only: whether there is no choice of nicks.
    """
    if only:
        return _(
            "The nick {nick} belongs to an account. If it is yours, log in; if not, ask for "
            "another invite: this one is for that nick only.",
            nick=make_safe(nick),
        )
    return _(
        "The nick {nick} belongs to an account. If it is yours, log in; if not, go back and "
        "take another nick.",
        nick=make_safe(nick),
    )
