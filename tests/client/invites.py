"""Invites to a relay that runs, and servers that give a CA, or something else in its place."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sqlite3
from collections.abc import Iterator

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.invite_link import CA_ALPN, InviteLink, format_invite_link
from securechat.store.invites import Invites
from tests.client.scripted_server import Pki, Script, ScriptedServer
from tests.server.relay_harness import WALL_S, RunningRelay

_TOKENS = itertools.count(1)

_FAR = 4_000_000_000.0
"""In the year 2096: for relays whose time stands still, and for those whose time passes."""


def ca_hash(ca: trustme.CA) -> bytes:
    """Return what a link says of a CA."""
    certificate = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def link_to(
    relay: RunningRelay,
    *,
    token: str = "",
    uses: int = 1,
    room: str = "",
    account: str = "",
    ca: trustme.CA | None = None,
    in_link: bool = True,
) -> str:
    """Return an invite link; one with a new token, which the relay takes, if none is given.

    :param in_link: whether the link itself says which account it is for.
    """
    if not token:
        token = f"token-{next(_TOKENS)}"
        connection = sqlite3.connect(relay.config.store.path)
        with contextlib.closing(connection):
            Invites(connection).create(
                token,
                uses=uses,
                expires_at=_FAR,
                created_at=WALL_S,
                account=account,
                room=room,
            )
            connection.commit()
    ca_sha256 = ca_hash(ca or relay.certificates.ca)
    port = relay.address[1]
    link = InviteLink("localhost", port, token, ca_sha256, room, account if in_link else "")
    return format_invite_link(link)


@contextlib.contextmanager
def giving(pki: Pki, *scripts: Script, alpn: str = CA_ALPN) -> Iterator[ScriptedServer]:
    """Run a server that speaks the protocol by which a CA is given."""
    context = pki.context()
    context.set_alpn_protocols([alpn])
    server = ScriptedServer(context, scripts)
    try:
        yield server
    finally:
        server.close()
