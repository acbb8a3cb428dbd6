"""Logins by SASL, as the relay takes them.

An input is a mechanism, then the parameters of AUTHENTICATE, a line each. In those, ``{plain}``,
``{first}`` and ``{proof}`` stand for what a client would say that knows the password, and a line
that begins with ``=`` is sent in base64, in as many pieces as it needs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from securechat.errors import LocalProtocolError, MessageTooLong, RemoteProtocolError
from securechat.irc.sasl import (
    EXTERNAL,
    PASSWORD_BYTES,
    PLAIN,
    RESPONSE_BYTES,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    ResponseAssembler,
    ScramServer,
    ScramVerifier,
    authenticate_chunks,
    parse_external,
    parse_plain,
    plain_response,
    prepare_password,
)

__all__ = ["run_sasl"]

_ACCOUNT: Final = "user"
_PASSWORD: Final = "pencil"
_NONCE: Final = "server"
_BINDING: Final = b"b" * 32
_SALTED: Final = hashlib.pbkdf2_hmac("sha256", _PASSWORD.encode(), b"salt", 1)
_CLIENT_KEY: Final = hmac.digest(_SALTED, b"Client Key", "sha256")
_VERIFIER: Final = ScramVerifier.derive(_PASSWORD, salt=b"salt", iterations=1)
_MECHANISMS: Final = (PLAIN, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, EXTERNAL)
_MOST_LINES: Final = 40


class _Exchange:
    """One try to log in; knows what a proof would be."""

    def __init__(self, mechanism: str) -> None:
        self._mechanism = mechanism
        self._plus = mechanism == SCRAM_SHA_256_PLUS
        self._assembler = ResponseAssembler()
        self._scram: ScramServer | None = None
        self._signed = ""  # what a proof is of, but for its own message
        self._header = "p=tls-server-end-point,," if self._plus else "n,,"
        self._nonce = ""
        self._over = False

    def say(self, line: bytes) -> None:
        if line.startswith(b"="):
            said = self._filled(line[1:])
            for chunk in authenticate_chunks(said[: 2 * RESPONSE_BYTES]):
                self._chunk(chunk)
        else:
            self._chunk(line.decode(errors="replace"))

    def _filled(self, line: bytes) -> bytes:
        if b"{" not in line:
            return line
        line = line.replace(b"{plain}", plain_response(_ACCOUNT, _PASSWORD))
        line = line.replace(b"{first}", f"{self._header}n={_ACCOUNT},r=client".encode())
        return line.replace(b"{proof}", self._proof())

    def _proof(self) -> bytes:
        bound = self._header.encode() + (_BINDING if self._plus else b"")
        without = f"c={base64.b64encode(bound).decode()},r={self._nonce}"
        return f"{without},p={_prove(f'{self._signed},{without}')}".encode()

    def _chunk(self, chunk: str) -> None:
        try:
            response = self._assembler.feed(chunk)
        except (MessageTooLong, RemoteProtocolError):
            assert self._assembler._text == ""
            return
        assert len(self._assembler._text) <= 2 * RESPONSE_BYTES
        if response is None:
            return
        assert len(response) <= RESPONSE_BYTES
        try:
            self._step(response)
        except RemoteProtocolError:
            self._scram = None

    def _step(self, response: bytes) -> None:
        if self._mechanism == PLAIN:
            account, password = parse_plain(response)
            assert "\0" not in account
            try:
                prepared = prepare_password(password)
            except LocalProtocolError:
                return
            assert prepare_password(prepared) == prepared
            assert 0 < len(prepared.encode()) <= PASSWORD_BYTES
        elif self._mechanism == EXTERNAL:
            assert parse_external(response).encode() == response
        elif self._scram is None:
            self._begin(response)
        else:
            self._finish(self._scram, response)

    def _begin(self, response: bytes) -> None:
        scram = ScramServer(_NONCE, binding=_BINDING, plus=self._plus)
        account = scram.begin(response)
        assert isinstance(account, str)
        self._scram = scram
        challenge = scram.challenge(_VERIFIER).decode()
        self._nonce = challenge.split(",")[0][2:]
        assert self._nonce.endswith(_NONCE)
        assert self._nonce != _NONCE
        bare = response.decode().split(",", 2)[2]
        self._signed = f"{bare},{challenge}"
        self._header = ",".join([*response.decode().split(",", 2)[:2], ""])

    def _finish(self, scram: ScramServer, response: bytes) -> None:
        final = scram.finish(response)
        # It was let in: so it has said just what only one who knows the password can say.
        without, _, proof = response.decode().rpartition(",p=")
        wanted = _prove(f"{self._signed},{without}")
        assert base64.b64decode(proof) == base64.b64decode(wanted)
        assert f"r={self._nonce}" in without.split(",")
        assert final.startswith(b"v=")
        try:
            scram.finish(response)
        except RemoteProtocolError:
            self._scram = None
            return
        raise AssertionError("one proof was good for two logins")


def _prove(signed: str) -> str:
    stored = hashlib.sha256(_CLIENT_KEY).digest()
    signature = hmac.digest(stored, signed.encode(), "sha256")
    return base64.b64encode(
        bytes(a ^ b for a, b in zip(_CLIENT_KEY, signature, strict=True))
    ).decode()


def run_sasl(data: bytes) -> None:
    lines = data.split(b"\n", _MOST_LINES)[:_MOST_LINES]
    exchange = _Exchange(_MECHANISMS[lines[0][0] % 4 if lines[0] else 0])
    for line in lines[1:]:
        exchange.say(line)
