"""SASL: PLAIN, SCRAM-SHA-256(-PLUS) and EXTERNAL, both sides, and the chunks of AUTHENTICATE.

Nonces and salts come in as arguments. Passwords must be prepared (``prepare_password``) before they
are hashed or compared, so that the same characters typed on two systems are one password.

https://ircv3.net/specs/extensions/sasl-3.1, RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM-SHA-256),
RFC 5929 (tls-server-end-point), RFC 8265 (OpaqueString).
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from securechat.errors import LocalProtocolError, MessageTooLong, RemoteProtocolError

__all__ = [
    "CHUNK_BYTES",
    "EXTERNAL",
    "LOGINS_BUSY",
    "LOGINS_NOT_NOW",
    "LOGINS_THROTTLED",
    "PASSWORD_BYTES",
    "PLAIN",
    "RESPONSE_BYTES",
    "SCRAM_ITERATIONS",
    "SCRAM_SHA_256",
    "SCRAM_SHA_256_PLUS",
    "ResponseAssembler",
    "ScramClient",
    "ScramServer",
    "ScramVerifier",
    "authenticate_chunks",
    "parse_external",
    "parse_plain",
    "plain_response",
    "prepare_password",
]

LOGINS_BUSY: Final = "Logins are not possible at the moment; try again"
LOGINS_THROTTLED: Final = "Too many failed logins; wait a minute"
LOGINS_NOT_NOW: Final = frozenset({LOGINS_BUSY, LOGINS_THROTTLED})
"""What our relay says with ERR_SASLFAIL where account and password may well be right."""

PLAIN: Final = "PLAIN"
SCRAM_SHA_256: Final = "SCRAM-SHA-256"
SCRAM_SHA_256_PLUS: Final = "SCRAM-SHA-256-PLUS"
EXTERNAL: Final = "EXTERNAL"

CHUNK_BYTES: Final = 400
"""Base64 in one AUTHENTICATE, in bytes: "split to 400-byte chunks"."""

RESPONSE_BYTES: Final = 4096
"""Most bytes of one SASL response, base64 decoded: far above what any mechanism here needs."""

_RESPONSE_TEXT_BYTES: Final = (RESPONSE_BYTES + 2) // 3 * 4
"""The same in base64."""

PASSWORD_BYTES: Final = 300
"""Most bytes of a password in UTF-8: "300 bytes should be a safe reasonable limit" for what must
also fit in one line (account-registration)."""

_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Control characters, line and paragraph separators, half surrogate pairs, and code points without
a meaning (yet): the next version of Unicode may normalise those otherwise. RFC 8264, section 4.3.3
also disallows format characters; they are let through: emoji and Persian are typed with them."""

SCRAM_ITERATIONS: Final = 15_000
"""PBKDF2 rounds of a new verifier. RFC 7677 asks for at least 4096 and hopes for more; a client
pays them at each login, on a phone or in a browser too. What is stored for the other mechanisms is
Argon2id; the verifier is as strong as these rounds."""

_ITERATIONS_LEAST: Final = 4096
"""Fewest rounds a server may ask of us, as in RFC 7677: one that asks for a single round wants a
proof from which the password is quickly guessed."""

_ITERATIONS_LIMIT: Final = 1_000_000
"""Most rounds a server may ask of us: a hostile one must not keep a client busy for minutes."""

_BINDING: Final = "tls-server-end-point"
"""The one kind of channel binding: ``ssl`` cannot tell what ``tls-exporter`` would need."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_BAD_ESCAPE: Final = re.compile(r"=(?!2C|3D)")


def prepare_password(password: str) -> str:
    """Return ``password`` in the one form in which it is hashed and compared.

    The OpaqueString profile (RFC 8265, section 4.2): other spaces become U+0020, then NFC; so two
    keyboards that spell "é" differently agree. Preparing it again changes nothing.

    :raises LocalProtocolError: it is empty, too long, or has characters that cannot be typed again
        with certainty; the text is fit for the user and does not quote the password.
    """
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared:
        raise LocalProtocolError("the password is empty")
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in prepared):
        raise LocalProtocolError("the password contains control characters or unknown characters")
    if len(prepared.encode()) > PASSWORD_BYTES:
        raise LocalProtocolError("the password is longer than {limit} bytes", limit=PASSWORD_BYTES)
    return prepared


def authenticate_chunks(response: bytes) -> list[str]:
    """Return the parameters of the AUTHENTICATE messages that carry ``response``."""
    text = base64.b64encode(response).decode()
    chunks = [text[start : start + CHUNK_BYTES] for start in range(0, len(text), CHUNK_BYTES)]
    if not chunks or len(chunks[-1]) == CHUNK_BYTES:
        chunks.append("+")
    return chunks


class ResponseAssembler:
    """Puts the chunks of AUTHENTICATE together. Owned by the thread of its connection."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    def feed(self, chunk: str) -> bytes | None:
        """Take the next parameter; return the response when it is whole, else ``None``.

        :raises MessageTooLong: the chunk is over 400 bytes, or the whole over ``RESPONSE_BYTES``.
        :raises RemoteProtocolError: it is not base64. After either the assembler is empty again.
        """
        text = self._text if chunk == "+" else self._text + chunk
        self._text = ""
        if len(chunk) > CHUNK_BYTES or len(text) > _RESPONSE_TEXT_BYTES:
            raise MessageTooLong("SASL message too long")
        if len(chunk) == CHUNK_BYTES:
            self._text = text
            return None
        try:
            response = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError("a SASL response must be base64") from error
        if len(response) > RESPONSE_BYTES:
            raise MessageTooLong("SASL message too long")
        return response


def plain_response(account: str, password: str) -> bytes:
    """Return the response of PLAIN. ``password`` as typed: the server prepares it."""
    return b"\0".join((b"", account.encode(), password.encode()))


def parse_plain(response: bytes) -> tuple[str, str]:
    """Return account and password of a PLAIN response.

    :raises RemoteProtocolError: it is malformed, or asks to act as another account.
    """
    try:
        authorize_as, account, password = response.decode().split("\0")
    except ValueError as error:
        raise RemoteProtocolError("a PLAIN response has three fields of UTF-8") from error
    if authorize_as not in ("", account):
        raise RemoteProtocolError("acting as another account is not possible")
    return account, password


def parse_external(response: bytes) -> str:
    """Return the account asked for by an EXTERNAL response, empty for "as the certificate says".

    :raises RemoteProtocolError: it is not UTF-8.
    """
    try:
        return response.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("an EXTERNAL response must be UTF-8") from error


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps to check SCRAM-SHA-256 logins: not enough to log in with. Immutable."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(
        cls, password: str, *, salt: bytes, iterations: int = SCRAM_ITERATIONS
    ) -> ScramVerifier:
        """Return the verifier of ``password`` (prepared). Slow by design: PBKDF2."""
        salted = _salted_password(password, salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        return cls(
            salt, iterations, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key")
        )

    def to_text(self) -> str:
        """Return the verifier as one line of text (the form of RFC 5803)."""
        salt, stored, server = (
            base64.b64encode(part).decode()
            for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def from_text(cls, text: str) -> ScramVerifier:
        """Return the verifier that ``to_text`` wrote.

        :raises LocalProtocolError: the text is not a verifier.
        """
        try:
            scheme, parameters, keys = text.split("$")
            iterations, salt = parameters.split(":")
            stored, server = keys.split(":")
            if scheme != SCRAM_SHA_256 or not _is_number(iterations):
                raise ValueError(scheme)
            return cls(
                base64.b64decode(salt, validate=True),
                int(iterations),
                base64.b64decode(stored, validate=True),
                base64.b64decode(server, validate=True),
            )
        except (binascii.Error, ValueError) as error:
            raise LocalProtocolError("not a SCRAM-SHA-256 verifier") from error


class _ScramState(enum.Enum):
    START = enum.auto()
    CHALLENGED = enum.auto()
    PROVED = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


class ScramServer:
    """The server's side of one SCRAM-SHA-256 exchange. Owned by the thread of its connection.

    ``begin`` gives the account; the caller looks up its verifier and calls ``challenge``, then
    ``finish`` with the answer.

    :param nonce: fresh random printable ASCII without commas.
    :param binding: what the login is bound to where SCRAM-SHA-256-PLUS is offered, else ``None``.
    :param plus: whether that is the mechanism that the client has chosen.
    """

    def __init__(self, nonce: str, *, binding: bytes | None = None, plus: bool = False) -> None:
        self._nonce = nonce
        self._binding = binding
        self._plus = plus
        self._state = _ScramState.START
        self._header = ""
        self._client_first = ""
        self._server_first = ""
        self._verifier: ScramVerifier | None = None

    def begin(self, response: bytes) -> str:
        """Take the client's first message; return the account that it wants to be.

        :raises RemoteProtocolError: malformed, or asks for what is not offered.
        """
        text = _decode(response)
        flag, authorize_as, bare = [*text.split(",", 2), "", ""][:3]
        self._check_binding(flag)
        if not (authorize_as == "" or authorize_as.startswith("a=")):
            raise RemoteProtocolError("malformed SCRAM header")
        fields = _attributes(bare)
        if list(fields)[:2] != ["n", "r"] or not fields["r"]:
            raise RemoteProtocolError("malformed SCRAM message")
        account = _unescape_name(fields["n"])
        if authorize_as and _unescape_name(authorize_as[2:]) != account:
            raise RemoteProtocolError("acting as another account is not possible")
        self._header = f"{flag},{authorize_as},"
        self._client_first = bare
        self._nonce = fields["r"] + self._nonce
        return account

    def challenge(self, verifier: ScramVerifier) -> bytes:
        """Return the server's first message. For an unknown account pass a made-up verifier."""
        self._verifier = verifier
        salt = base64.b64encode(verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={verifier.iterations}"
        self._state = _ScramState.CHALLENGED
        return self._server_first.encode()

    def finish(self, response: bytes) -> bytes:
        """Take the client's proof; return the server's final message, which proves us to it.

        :raises RemoteProtocolError: malformed, or the proof is wrong.
        """
        if self._state is not _ScramState.CHALLENGED or self._verifier is None:
            raise RemoteProtocolError("a SCRAM proof before its challenge")
        self._state = _ScramState.DONE  # one try, right or wrong
        text = _decode(response)
        without_proof, _, proof_text = text.rpartition(",p=")
        fields = _attributes(without_proof)
        bound = self._binding if self._plus else None
        expected = base64.b64encode(self._header.encode() + (bound or b"")).decode()
        if self._plus and fields.get("c") != expected:
            raise RemoteProtocolError("the login was meant for another TLS server")
        if fields.get("c") != expected or fields.get("r") != self._nonce:
            raise RemoteProtocolError("the SCRAM proof belongs to another exchange")
        signed = f"{self._client_first},{self._server_first},{without_proof}".encode()
        signature = _hmac(self._verifier.stored_key, signed)
        proof = _unbase64(proof_text)
        if len(proof) != len(signature):
            raise RemoteProtocolError("malformed SCRAM proof")
        client_key = _xor(proof, signature)
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key):
            raise RemoteProtocolError("the SCRAM proof is wrong")
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, signed))

    def _check_binding(self, flag: str) -> None:
        """Hold the client to the rules of RFC 5802, section 6, against a downgrade."""
        if flag == "y" and self._binding is not None:
            # "If the flag is set to "y" and the server supports channel binding, the server MUST
            # fail authentication": somebody has taken -PLUS out of what the client was offered.
            raise RemoteProtocolError("the client was not shown that channel binding is offered")
        if flag.startswith("p="):
            if not self._plus or self._binding is None:
                raise RemoteProtocolError("channel binding without the mechanism for it")
            if flag != f"p={_BINDING}":
                raise RemoteProtocolError("this kind of channel binding is not offered")
        elif self._plus or flag not in ("n", "y"):
            raise RemoteProtocolError("malformed SCRAM header")


class ScramClient:
    """The client's side of one SCRAM-SHA-256 exchange. Owned by the thread of its connection.

    :param password: prepared.
    :param nonce: fresh random printable ASCII without commas.
    :param binding: what the login can be bound to, ``None`` if the client does not know it.
    :param plus: whether the mechanism is SCRAM-SHA-256-PLUS, which needs ``binding``. If not, a
        client that could have bound the login says that the server did not offer it.
    """

    def __init__(
        self,
        account: str,
        password: str,
        nonce: str,
        *,
        binding: bytes | None = None,
        plus: bool = False,
    ) -> None:
        self._password = password
        self._nonce = nonce
        self._bound = binding if plus and binding is not None else b""
        self._header = f"p={_BINDING},," if plus else "n,," if binding is None else "y,,"
        self._bare = f"n={account.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._state = _ScramState.START
        self._server_signature = b""

    def respond(self, challenge: bytes) -> bytes:
        """Take the server's next message (empty at first); return the answer. PBKDF2 runs here.

        :raises RemoteProtocolError: malformed, or the server could not prove that it knows us.
        """
        # Failed until the step is done: an exchange that raised has no next step.
        state, self._state = self._state, _ScramState.FAILED
        if state is _ScramState.START:
            answer = (self._header + self._bare).encode()
            self._state = _ScramState.CHALLENGED
        elif state is _ScramState.CHALLENGED:
            answer = self._prove(_decode(challenge))
            self._state = _ScramState.PROVED
        elif state is _ScramState.PROVED:
            signature = _attributes(_decode(challenge)).get("v", "")
            if not hmac.compare_digest(_unbase64(signature), self._server_signature):
                raise RemoteProtocolError("the server could not prove that it knows the password")
            answer = b""
            self._state = _ScramState.DONE
        else:
            raise RemoteProtocolError("the SCRAM exchange is over")
        return answer

    @property
    def server_proved(self) -> bool:
        """Whether the server has proved that it holds our verifier. Check it on success."""
        return self._state is _ScramState.DONE

    def _prove(self, server_first: str) -> bytes:
        fields = _attributes(server_first)
        nonce, salt, rounds = (fields.get(key, "") for key in "rsi")
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not _is_number(rounds):
            raise RemoteProtocolError("malformed SCRAM challenge")
        if not _ITERATIONS_LEAST <= int(rounds) <= _ITERATIONS_LIMIT:
            raise RemoteProtocolError(
                "the server asks for {rounds} rounds of PBKDF2", rounds=int(rounds)
            )
        salted = _salted_password(self._password, _unbase64(salt), int(rounds))
        client_key = _hmac(salted, b"Client Key")
        bound = base64.b64encode(self._header.encode() + self._bound).decode()
        without_proof = f"c={bound},r={nonce}"
        signed = f"{self._bare},{server_first},{without_proof}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        proof = base64.b64encode(_xor(client_key, signature)).decode()
        return f"{without_proof},p={proof}".encode()


def _salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _decode(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("a SCRAM message must be UTF-8") from error


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("malformed base64 in a SCRAM message") from error


def _is_number(text: str) -> bool:
    # int() takes other digits, signs and spaces too, and raises above 4300 digits.
    return _NUMBER.fullmatch(text) is not None


def _attributes(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        # "m" would be a mandatory extension: its presence "MUST cause authentication failure".
        if not equals or len(key) != 1 or key == "m" or key in fields:
            raise RemoteProtocolError("malformed SCRAM message")
        fields[key] = value
    return fields


def _unescape_name(name: str) -> str:
    if _BAD_ESCAPE.search(name):
        raise RemoteProtocolError("malformed name in a SCRAM message")
    return name.replace("=2C", ",").replace("=3D", "=")
