from __future__ import annotations

import base64

import pytest

from securechat.errors import LocalProtocolError, MessageTooLong, RemoteProtocolError
from securechat.irc.sasl import (
    CHUNK_BYTES,
    PASSWORD_BYTES,
    RESPONSE_BYTES,
    SCRAM_ITERATIONS,
    ResponseAssembler,
    ScramClient,
    ScramServer,
    ScramVerifier,
    authenticate_chunks,
    parse_external,
    parse_plain,
    plain_response,
    prepare_password,
)

# The exchange of RFC 7677, section 3.
ACCOUNT = "user"
PASSWORD = "pencil"
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
NONCE = CLIENT_NONCE + SERVER_NONCE
CLIENT_FIRST = f"n,,n=user,r={CLIENT_NONCE}".encode()
SERVER_FIRST = f"r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
CLIENT_FINAL = f"c=biws,r={NONCE},p={PROOF}".encode()
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
VERIFIER = ScramVerifier.derive(
    PASSWORD, salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations=4096
)


def challenged_server() -> ScramServer:
    server = ScramServer(SERVER_NONCE)
    assert server.begin(CLIENT_FIRST) == ACCOUNT
    assert server.challenge(VERIFIER) == SERVER_FIRST
    return server


def challenged_client() -> ScramClient:
    client = ScramClient(ACCOUNT, PASSWORD, CLIENT_NONCE)
    assert client.respond(b"") == CLIENT_FIRST
    return client


class TestPasswords:
    @pytest.mark.parametrize(
        ("typed", "prepared"),
        [
            ("pencil", "pencil"),
            ("Correct Horse", "Correct Horse"),
            ("a\u00a0b\u3000c", "a b c"),
            ("e\u0301", "\u00e9"),
            ("\u212b", "\u00c5"),
            ("ﬁ", "ﬁ"),
            ("\uff21", "\uff21"),
            ("π🔑", "π🔑"),
            ("x" * PASSWORD_BYTES, "x" * PASSWORD_BYTES),
            ("é" * (PASSWORD_BYTES // 2), "é" * (PASSWORD_BYTES // 2)),
        ],
    )
    def test_prepare(self, typed: str, prepared: str) -> None:
        """RFC 8265, section 4.2.2: any non-ASCII space becomes a space, case and width stay, and
        "Unicode Normalization Form C (NFC) MUST be applied to all strings".
        """
        assert prepare_password(typed) == prepared

    @pytest.mark.parametrize(
        "typed",
        [
            "",
            "a\0b",
            "a\nb",
            "a\tb",
            "a\x7fb",
            "a\x9fb",
            "a\ud800b",
            "a\uffffb",
            "a\ue000b",
            "a\u2028b",
            "a\u2029b",
            "x" * (PASSWORD_BYTES + 1),
            "é" * (PASSWORD_BYTES // 2 + 1),
        ],
    )
    def test_refuse(self, typed: str) -> None:
        with pytest.raises(LocalProtocolError) as caught:
            prepare_password(typed)
        assert typed == "" or typed not in str(caught.value)


class TestChunks:
    @pytest.mark.parametrize(
        ("size", "chunks"),
        [(0, ["+"]), (1, [4]), (297, [396]), (300, [400, "+"]), (301, [400, 4])],
    )
    def test_sizes(self, size: int, chunks: list[int | str]) -> None:
        """sasl-3.1: "split to 400-byte chunks"; "If the last chunk was exactly 400 bytes long, it
        must also be followed by `AUTHENTICATE +` to signal end of response".
        """
        sent = authenticate_chunks(b"x" * size)
        assert [chunk if chunk == "+" else len(chunk) for chunk in sent] == chunks

    def test_empty_response(self) -> None:
        """sasl-3.1: "Empty (zero-length) responses are sent as `AUTHENTICATE +`"."""
        assert ResponseAssembler().feed("+") == b""

    @pytest.mark.parametrize("size", [1, 299, 300, 301, 600, 3000, RESPONSE_BYTES])
    def test_both_ways(self, size: int) -> None:
        response = bytes(number % 251 for number in range(size))
        assembler = ResponseAssembler()
        for _ in range(2):
            *first, last = authenticate_chunks(response)
            assert [assembler.feed(chunk) for chunk in first] == [None] * len(first)
            assert assembler.feed(last) == response

    @pytest.mark.parametrize("size", [RESPONSE_BYTES + 1, RESPONSE_BYTES + 3])
    def test_too_long_a_response(self, size: int) -> None:
        """sasl-3.1: "The server MAY place a limit on the total length of a response"."""
        assembler = ResponseAssembler()
        *first, last = authenticate_chunks(b"x" * size)
        assert len(first) == RESPONSE_BYTES // 300
        for chunk in first:
            assert assembler.feed(chunk) is None
        with pytest.raises(MessageTooLong):
            assembler.feed(last)
        assert assembler.feed("eA==") == b"x"

    def test_too_long_a_chunk(self) -> None:
        """sasl-3.1, of 905: "the parameter longer than 400 bytes"."""
        assembler = ResponseAssembler()
        assert assembler.feed("A" * CHUNK_BYTES) is None
        with pytest.raises(MessageTooLong):
            assembler.feed("A" * (CHUNK_BYTES + 4))
        assert assembler.feed("eA==") == b"x"

    @pytest.mark.parametrize(
        "chunk", ["A", "*", "A===", "====", "AA=A", "e A==", "eA-_", "é", "++"]
    )
    def test_not_base64(self, chunk: str) -> None:
        assembler = ResponseAssembler()
        with pytest.raises(RemoteProtocolError, match="base64"):
            assembler.feed(chunk)
        assert assembler.feed("eA==") == b"x"

    def test_an_endless_response_costs_no_memory(self) -> None:
        assembler = ResponseAssembler()
        for _ in range(RESPONSE_BYTES // 300):
            assert assembler.feed("A" * CHUNK_BYTES) is None
        with pytest.raises(MessageTooLong):
            assembler.feed("A" * CHUNK_BYTES)


class TestPlain:
    def test_both_ways(self) -> None:
        """RFC 4616: message = [authzid] UTF8NUL authcid UTF8NUL passwd."""
        response = plain_response("tim", "tanstaaf tanstaaf é")
        assert response == b"\0tim\0tanstaaf tanstaaf \xc3\xa9"
        assert parse_plain(response) == ("tim", "tanstaaf tanstaaf é")

    def test_example_of_the_specification(self) -> None:
        """sasl-3.1: "authentication identity `jilles`, authorization identity `jilles` and password
        `sesame`".
        """
        response = ResponseAssembler().feed("amlsbGVzAGppbGxlcwBzZXNhbWU=")
        assert response is not None
        assert parse_plain(response) == ("jilles", "sesame")

    @pytest.mark.parametrize(
        "response", [b"", b"a", b"\0a", b"\0a\0b\0c", b"\0\xff\0b", b"\0a\0\xff", b"root\0a\0b"]
    )
    def test_refuse(self, response: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            parse_plain(response)


@pytest.mark.parametrize(("response", "account"), [(b"", ""), (b"alice", "alice")])
def test_external(response: bytes, account: str) -> None:
    assert parse_external(response) == account


def test_external_that_is_not_utf8() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_external(b"\xff")


class TestScramVerifier:
    def test_both_ways(self) -> None:
        assert ScramVerifier.from_text(VERIFIER.to_text()) == VERIFIER

    def test_text(self) -> None:
        """RFC 5803: scheme "$" iterations ":" salt "$" StoredKey ":" ServerKey."""
        assert VERIFIER.to_text() == (
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
            "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        )

    def test_keys_are_not_shown(self) -> None:
        shown = repr(VERIFIER)
        assert repr(VERIFIER.stored_key) not in shown
        assert repr(VERIFIER.server_key) not in shown

    def test_iterations_of_a_new_one(self) -> None:
        """RFC 7677: "the hash iteration-count announced by a server SHOULD be at least 4096"."""
        verifier = ScramVerifier.derive("x", salt=b"salt")
        assert verifier.iterations == SCRAM_ITERATIONS >= 4096

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1$4096:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$4096$AAAA:AAAA",
            "SCRAM-SHA-256$4096:c2FsdA==$AAAA",
            "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA$",
            "SCRAM-SHA-256$4096:c2FsdA$AAAA:AAAA",
            "SCRAM-SHA-256$4096:c2FsdA==$AAAA:é",
            "SCRAM-SHA-256$x:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$-1:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$٤٠٩٦:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$" + "9" * 5000 + ":c2FsdA==$AAAA:AAAA",
        ],
    )
    def test_not_a_verifier(self, text: str) -> None:
        with pytest.raises(LocalProtocolError):
            ScramVerifier.from_text(text)


class TestScram:
    def test_client_of_rfc_7677(self) -> None:
        client = challenged_client()
        assert client.respond(SERVER_FIRST) == CLIENT_FINAL
        assert not client.server_proved
        assert client.respond(SERVER_FINAL) == b""
        assert client.server_proved

    def test_server_of_rfc_7677(self) -> None:
        assert challenged_server().finish(CLIENT_FINAL) == SERVER_FINAL

    @pytest.mark.parametrize("account", ["alice", "a=b,c", "=2C=3D", ",=", "é"])
    def test_both_sides(self, account: str) -> None:
        verifier = ScramVerifier.derive("pässword", salt=b"salt" * 4, iterations=4096)
        client, server = ScramClient(account, "pässword", "abc"), ScramServer("def")
        assert server.begin(client.respond(b"")) == account
        final = server.finish(client.respond(server.challenge(verifier)))
        assert client.respond(final) == b""
        assert client.server_proved


class TestChannelBinding:
    """RFC 5802, section 6, and RFC 5929."""

    VERIFIER = ScramVerifier.derive("password", salt=b"salt" * 4, iterations=4096)

    def exchange(self, client: ScramClient, server: ScramServer) -> None:
        server.begin(client.respond(b""))
        final = server.finish(client.respond(server.challenge(self.VERIFIER)))
        client.respond(final)
        assert client.server_proved

    def test_both_bind(self) -> None:
        self.exchange(
            ScramClient("ann", "password", "abc", binding=b"hash", plus=True),
            ScramServer("def", binding=b"hash", plus=True),
        )

    def test_a_server_that_does_not_offer_it_takes_a_client_that_could(self) -> None:
        """ "y": the client supports channel binding but thinks the server does not."""
        client = ScramClient("ann", "password", "abc", binding=b"hash")
        assert client.respond(b"").startswith(b"y,,")
        self.exchange(ScramClient("ann", "password", "abc", binding=b"hash"), ScramServer("def"))

    def test_a_client_that_cannot_is_welcome(self) -> None:
        """ "n": the client does not support channel binding."""
        self.exchange(ScramClient("ann", "password", "abc"), ScramServer("def", binding=b"hash"))

    def test_a_downgrade_is_refused(self) -> None:
        """ "If the flag is set to "y" and the server supports channel binding, the server MUST fail
        authentication." """
        client = ScramClient("ann", "password", "abc", binding=b"hash")
        with pytest.raises(RemoteProtocolError, match="not shown"):
            ScramServer("def", binding=b"hash").begin(client.respond(b""))

    def test_another_tls_server_is_refused(self) -> None:
        """Somebody in between has a certificate of his own, which the client has bound to."""
        client = ScramClient("ann", "password", "abc", binding=b"his", plus=True)
        server = ScramServer("def", binding=b"ours", plus=True)
        server.begin(client.respond(b""))
        proof = client.respond(server.challenge(self.VERIFIER))
        with pytest.raises(RemoteProtocolError, match="another TLS server"):
            server.finish(proof)

    @pytest.mark.parametrize("flag", ["n", "y", "p=tls-exporter", "p=tls-unique", "p=", "p"])
    def test_plus_wants_the_one_kind_of_binding(self, flag: str) -> None:
        """ "A server that receives a "p" with a channel-binding type it does not support MUST
        fail", and -PLUS without a binding is no -PLUS."""
        server = ScramServer("def", binding=b"hash", plus=True)
        with pytest.raises(RemoteProtocolError):
            server.begin(f"{flag},,n=ann,r=abc".encode())

    @pytest.mark.parametrize("binding", [None, b"hash"])
    def test_no_binding_without_plus(self, binding: bytes | None) -> None:
        with pytest.raises(RemoteProtocolError):
            ScramServer("def", binding=binding).begin(b"p=tls-server-end-point,,n=ann,r=abc")


class TestScramServer:
    @pytest.mark.parametrize(
        ("response", "account"),
        [
            (b"n,,n=user,r=abc", "user"),
            (b"y,,n=user,r=abc", "user"),
            (b"n,a=user,n=user,r=abc", "user"),
            (b"n,a=a=2Cb,n=a=2Cb,r=abc", "a,b"),
            (b"n,,n=a=3D2C,r=abc", "a=2C"),
            (b"n,,n=\xc3\xa9,r=abc", "é"),
            (b"n,,n=user,r=abc,x=later", "user"),
        ],
    )
    def test_begin(self, response: bytes, account: str) -> None:
        assert ScramServer(SERVER_NONCE).begin(response) == account

    @pytest.mark.parametrize(
        "response",
        [
            b"",
            b"n",
            b"n,,",
            b"n,,n=user",
            b"n,,n=user,r=",
            b"n,,r=abc,n=user",
            b"n,,n=user,x=1,r=abc",
            b"n,,n=user,r=abc,",
            b"n,,n=user,r=abc,later",
            b"n,,name=user,r=abc",
            b"n,,n=user,r=abc,r=abd",
            b"x,,n=user,r=abc",
            b",,n=user,r=abc",
            b"n,user,n=user,r=abc",
            b"n,a=root,n=user,r=abc",
            b"n,,n=\xff,r=abc",
        ],
    )
    def test_refuse_the_first_message(self, response: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            ScramServer(SERVER_NONCE).begin(response)

    def test_refuse_channel_binding(self) -> None:
        with pytest.raises(RemoteProtocolError, match="channel binding"):
            ScramServer(SERVER_NONCE).begin(b"p=tls-exporter,,n=user,r=abc")

    @pytest.mark.parametrize("name", [b"a=b", b"a=", b"a=2c", b"=3d", b"a=2Cb=4D"])
    def test_refuse_a_name(self, name: bytes) -> None:
        """RFC 5802, section 5.1: "If the server receives a username that contains '=' not followed
        by either '2C' or '3D', then the server MUST fail the authentication".
        """
        with pytest.raises(RemoteProtocolError):
            ScramServer(SERVER_NONCE).begin(b"n,,n=" + name + b",r=abc")

    @pytest.mark.parametrize("response", [b"n,,m=x,n=user,r=abc", b"n,,n=user,r=abc,m=x"])
    def test_refuse_a_mandatory_extension(self, response: bytes) -> None:
        """RFC 5802, section 5.1, of "m": "its presence in a client or a server message MUST cause
        authentication failure when the attribute is parsed by the other end".
        """
        with pytest.raises(RemoteProtocolError):
            ScramServer(SERVER_NONCE).begin(response)

    @pytest.mark.parametrize(
        "response",
        [
            b"",
            b",p=",
            f"c=biws,r={NONCE}".encode(),
            f"c=biws,r={NONCE},p=".encode(),
            f"c=biws,r={NONCE},p=AAAA".encode(),
            f"c=biws,r={NONCE},p=!".encode(),
            f"c=biws,r={NONCE},p={'A' * 43}=".encode(),
            f"c=biws,r={NONCE},p=é".encode(),
            f"c=eSws,r={NONCE},p={PROOF}".encode(),
            f"c=biws,r={CLIENT_NONCE},p={PROOF}".encode(),
            f"r={NONCE},p={PROOF}".encode(),
            f"c=biws,p={PROOF}".encode(),
            f"c=biws,r={NONCE},x=1,p={PROOF}".encode(),
            f"c=biws,r={NONCE},m=1,p={PROOF}".encode(),
            CLIENT_FINAL + b"\xff",
            CLIENT_FINAL + b",",
            CLIENT_FINAL + b"," + CLIENT_FINAL,
        ],
    )
    def test_refuse_the_proof(self, response: bytes) -> None:
        server = challenged_server()
        with pytest.raises(RemoteProtocolError):
            server.finish(response)
        with pytest.raises(RemoteProtocolError):
            server.finish(CLIENT_FINAL)

    def test_refuse_a_wrong_password(self) -> None:
        client = ScramClient(ACCOUNT, "pen", CLIENT_NONCE)
        client.respond(b"")
        with pytest.raises(RemoteProtocolError):
            challenged_server().finish(client.respond(SERVER_FIRST))

    def test_refuse_a_proof_before_the_challenge(self) -> None:
        server = ScramServer(SERVER_NONCE)
        with pytest.raises(RemoteProtocolError):
            server.finish(CLIENT_FINAL)
        server.begin(CLIENT_FIRST)
        with pytest.raises(RemoteProtocolError):
            server.finish(CLIENT_FINAL)

    def test_refuse_a_proof_sent_again(self) -> None:
        server = challenged_server()
        server.finish(CLIENT_FINAL)
        with pytest.raises(RemoteProtocolError):
            server.finish(CLIENT_FINAL)

    def test_a_changed_header_breaks_the_proof(self) -> None:
        """The client signs that the server offers no channel binding ("y"), not that it cannot."""
        server = ScramServer(SERVER_NONCE)
        server.begin(b"y" + CLIENT_FIRST[1:])
        server.challenge(VERIFIER)
        with pytest.raises(RemoteProtocolError):
            server.finish(CLIENT_FINAL)


class TestScramClient:
    @pytest.mark.parametrize(
        "challenge",
        [
            b"",
            b"\xff",
            b"r=,s=,i=",
            b"e=other-error",
            f"r={CLIENT_NONCE},s=c2FsdA==,i=4096".encode(),
            f"r=x{NONCE},s=c2FsdA==,i=4096".encode(),
            f"r={NONCE},s=c2FsdA,i=4096".encode(),
            f"r={NONCE},s=é,i=4096".encode(),
            f"r={NONCE},s=c2FsdA==".encode(),
            f"r={NONCE},s=c2FsdA==,i=".encode(),
            f"r={NONCE},s=c2FsdA==,i=-4096".encode(),
            f"r={NONCE},s=c2FsdA==,i=4_096".encode(),
            f"r={NONCE},s=c2FsdA==,i=٤٠٩٦".encode(),
            f"r={NONCE},s=c2FsdA==,i={'9' * 5000}".encode(),
            f"r={NONCE},s=c2FsdA==,i=1000001".encode(),
            f"r={NONCE},s=c2FsdA==,i=4096,i=4096".encode(),
            f"s=c2FsdA==,i=4096,r{NONCE}".encode(),
        ],
    )
    def test_refuse_the_challenge(self, challenge: bytes) -> None:
        client = challenged_client()
        with pytest.raises(RemoteProtocolError):
            client.respond(challenge)

    @pytest.mark.parametrize("iterations", [0, 1, 4095])
    def test_refuse_few_iterations(self, iterations: int) -> None:
        """RFC 7677: "the hash iteration-count announced by a server SHOULD be at least 4096"."""
        with pytest.raises(RemoteProtocolError):
            challenged_client().respond(f"r={NONCE},s=c2FsdA==,i={iterations}".encode())

    def test_refuse_a_mandatory_extension(self) -> None:
        """RFC 5802, section 5.1, of "m": "its presence in a client or a server message MUST cause
        authentication failure when the attribute is parsed by the other end".
        """
        with pytest.raises(RemoteProtocolError):
            challenged_client().respond(b"m=x," + SERVER_FIRST)

    @pytest.mark.parametrize(
        "final",
        [
            b"",
            b"v=",
            b"v=!",
            b"v=AAAA",
            b"e=invalid-proof",
            b"\xff",
            b"v=" + base64.b64encode(bytes(32)),
            SERVER_FINAL[:-2] + b"=",
            SERVER_FINAL + b",v=",
        ],
    )
    def test_refuse_a_server_that_does_not_know_us(self, final: bytes) -> None:
        client = challenged_client()
        client.respond(SERVER_FIRST)
        with pytest.raises(RemoteProtocolError):
            client.respond(final)
        assert not client.server_proved

    def test_a_failed_exchange_cannot_be_saved(self) -> None:
        """A server that sends nonsense and then the empty signature has proved nothing."""
        client = challenged_client()
        with pytest.raises(RemoteProtocolError):
            client.respond(b"nonsense")
        for challenge in (b"v=", SERVER_FIRST, SERVER_FINAL):
            with pytest.raises(RemoteProtocolError):
                client.respond(challenge)
        assert not client.server_proved

    def test_the_exchange_ends(self) -> None:
        client = challenged_client()
        client.respond(SERVER_FIRST)
        client.respond(SERVER_FINAL)
        with pytest.raises(RemoteProtocolError):
            client.respond(b"")

    def test_the_password_is_not_shown(self) -> None:
        assert PASSWORD not in repr(challenged_client())
