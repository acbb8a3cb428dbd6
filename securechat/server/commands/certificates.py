"""CERT: the client certificates of an account, by their fingerprints.

No specification; IRC networks have it in services (``/msg NickServ CERT``). A certificate of the
account logs in to it (EXTERNAL), and may be demanded besides the password (``SET second-factor``).

They must be of the CA that the configuration names for clients (``tls.client_ca``). One that its
owner has signed alone never reaches us: ``ssl`` can ask for a certificate and ends the handshake
when it is of no CA that it knows; to take one and judge it later needs a callback of OpenSSL that
Python does not have. So there is nothing weaker than the CA to trust in.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Final

from securechat.irc.message import Message
from securechat.server.commands.authentication import SECOND_FACTOR
from securechat.server.commands.settings import account_of, ask_store
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.refusals import Fail
from securechat.store.certificates import AccountCertificate, AccountCertificates
from securechat.store.connection import Connection

__all__ = ["CERTIFICATES_PER_ACCOUNT"]

CERTIFICATES_PER_ACCOUNT: Final = 20
"""Most certificates of one account: one for each device, and some to spare."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@command("CERT", least=1)
def cert(context: Context, message: Message) -> None:
    """CERT LIST | ADD [<fingerprint>] | REMOVE <fingerprint>.

    See and change the certificates that log in to your account. A fingerprint is the SHA-256 of a
    certificate; without one ADD takes the certificate that you are connected with.
    """
    account = account_of(context)
    subcommand, *rest = message.params
    match subcommand.upper():
        case "LIST":
            ask_store(context, partial(_list, account), partial(_listed, context))
        case "ADD":
            fingerprint = _fingerprint(context, rest[0]) if rest else context.session.fingerprint
            if not fingerprint:
                text = "You are connected without a client certificate"
                raise Fail("CERT", "NO_CERTIFICATE", text=text)
            context.check_store(fingerprint)
            at_ms = context.services.now_ms()
            work = partial(_add, account, fingerprint, at_ms)
            ask_store(context, work, partial(_added, context, fingerprint))
        case "REMOVE" if rest:
            fingerprint = _fingerprint(context, rest[0])
            context.check_store(fingerprint)
            demanded = context.services.network.setting(account, SECOND_FACTOR) == "on"
            work = partial(_remove, account, fingerprint, demanded)
            ask_store(context, work, partial(_removed, context, fingerprint))
        case _:
            text = "CERT LIST, CERT ADD [<fingerprint>] or CERT REMOVE <fingerprint>"
            raise Fail("CERT", "INVALID_PARAMS", as_middle(subcommand), text=text)


def _fingerprint(context: Context, text: str) -> str:
    plain = text.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(plain):
        hint = "A fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits"
        raise Fail("CERT", "INVALID_PARAMS", as_middle(text), text=hint)
    return plain


# ---- on the store thread ----


def _list(account: str, connection: Connection) -> tuple[AccountCertificate, ...]:
    return AccountCertificates(connection).list(account)


def _add(account: str, fingerprint: str, at_ms: int, connection: Connection) -> str:
    """Return why it cannot be added, or nothing."""
    certificates = AccountCertificates(connection)
    if len(certificates.list(account)) >= CERTIFICATES_PER_ACCOUNT:
        return f"LIMIT_REACHED An account has {CERTIFICATES_PER_ACCOUNT} certificates at most"
    if not certificates.add(account, fingerprint, "", at_ms):
        return "ALREADY_ADDED This certificate belongs to an account already"
    return ""


def _remove(account: str, fingerprint: str, demanded: bool, connection: Connection) -> str:
    """Return why it cannot be removed, or nothing."""
    certificates = AccountCertificates(connection)
    held = {certificate.fingerprint for certificate in certificates.list(account)}
    if fingerprint not in held:
        return "NO_SUCH_CERTIFICATE This is no certificate of your account"
    if demanded and len(held) == 1:  # nobody could log in any more
        return f"NOT_POSSIBLE This is the last one; first: SET {SECOND_FACTOR} off"
    certificates.remove(account, fingerprint)
    return ""


# ---- the answers ----


def _listed(context: Context, certificates: tuple[AccountCertificate, ...]) -> None:
    if not certificates:
        context.tell("Your account has no certificates")
    for certificate in certificates:
        added = time.strftime("%Y-%m-%d", time.gmtime(certificate.added_ms // 1000))
        used = certificate.fingerprint == context.session.fingerprint
        in_use = ", in use here" if used else ""
        context.tell(f"{certificate.fingerprint} added {added}{in_use}")


def _added(context: Context, fingerprint: str, refusal: str) -> None:
    _refuse(fingerprint, refusal)
    context.note(f"added certificate {fingerprint}")
    context.tell(f"Added to your account: {fingerprint}")


def _removed(context: Context, fingerprint: str, refusal: str) -> None:
    _refuse(fingerprint, refusal)
    context.note(f"removed certificate {fingerprint}")
    context.tell(f"Removed from your account: {fingerprint}")


def _refuse(fingerprint: str, refusal: str) -> None:
    if refusal:
        code, _, text = refusal.partition(" ")
        raise Fail("CERT", code, fingerprint, text=text)
