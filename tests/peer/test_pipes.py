"""Pipes joined in memory, with real certificates of devices: who gets through, and who does not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from securechat.errors import TlsError
from securechat.irc.peering import TUNNEL_LINE_BYTES
from securechat.net.pipe import Pipe
from securechat.net.tls import pinned_context
from securechat.net.tls_pipe import TlsPipe
from securechat.peer.identity import Device, load_device
from securechat.peer.pipes import WORD_BYTES, DirectPipe, TunnelPipe, first_word
from securechat.peer.records import ALPN

ID = "0123456789abcdef" * 2
WORD = first_word(ID)
TOKEN = "t" * 43


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Device, Device]:
    return load_device(tmp_path_factory.mktemp("alice")), load_device(
        tmp_path_factory.mktemp("bob")
    )


def tls(own: Device, other: Device, *, server: bool) -> TlsPipe:
    context = pinned_context(
        own.files.certificate,
        own.files.key,
        other.certificate,
        server_side=server,
        protocols=[ALPN],
    )
    return TlsPipe(context, server_side=server)


def carry(left: Pipe, right: Pipe, step: int = 1 << 20) -> tuple[bytes, bytes]:
    """Carry bytes both ways, ``step`` at a time, until neither says more; return what was read."""
    heard = {id(left): b"", id(right): b""}
    while True:
        moved = False
        for sender, receiver in ((left, right), (right, left)):
            data = sender.take()
            for start in range(0, len(data), step):
                heard[id(receiver)] += receiver.receive(data[start : start + step])
                moved = True
        if not moved:
            return heard[id(left)], heard[id(right)]


def known(word: bytes, pipe: Pipe) -> Callable[[bytes], Pipe]:
    def find(said: bytes) -> Pipe:
        if said != word:
            raise TlsError("a stranger")
        return pipe

    return find


# ---- direct ----


@pytest.mark.parametrize("step", [1, 7, WORD_BYTES, 1 << 20])
@pytest.mark.parametrize("dialler_is_server", [False, True])
def test_the_word_goes_before_tls_whoever_dials(
    devices: tuple[Device, Device], step: int, dialler_is_server: bool
) -> None:
    alice, bob = devices
    inner = tls(alice, bob, server=dialler_is_server)
    dialler = DirectPipe(known(WORD, inner), ours=(WORD, inner))
    door = DirectPipe(known(WORD, tls(bob, alice, server=not dialler_is_server)))
    for pipe in (dialler, door):
        pipe.start()
    assert dialler.waiting_bytes >= WORD_BYTES
    assert door.waiting_bytes == 0
    carry(dialler, door, step)
    assert dialler.handshake_done
    assert door.handshake_done
    assert dialler.peer_certificate == bob.certificate
    assert door.peer_certificate == alice.certificate
    assert (dialler.protocol, dialler.version) == (ALPN, "TLSv1.3")
    dialler.send(b"one")
    door.send(b"two")
    assert carry(dialler, door, step) == (b"two", b"one")
    dialler.close()
    carry(dialler, door, step)
    assert door.eof


def test_two_that_dial_each_other_meet(devices: tuple[Device, Device]) -> None:
    """TCP's simultaneous open: both have dialled, so both begin."""
    alice, bob = devices
    ours, theirs = tls(alice, bob, server=False), tls(bob, alice, server=True)
    left = DirectPipe(known(WORD, ours), ours=(WORD, ours))
    right = DirectPipe(known(WORD, theirs), ours=(WORD, theirs))
    left.start()
    right.start()
    carry(left, right)
    assert left.handshake_done
    assert right.handshake_done


def test_the_door_says_nothing_to_a_stranger(devices: tuple[Device, Device]) -> None:
    alice, bob = devices
    door = DirectPipe(known(WORD, tls(bob, alice, server=True)))
    door.start()
    with pytest.raises(TlsError):
        door.receive(first_word("f" * 32))
    assert door.take() == b""


def test_who_dialled_notices_that_another_answers(devices: tuple[Device, Device]) -> None:
    alice, bob = devices
    inner = tls(alice, bob, server=False)
    dialler = DirectPipe(known(WORD, inner), ours=(WORD, inner))
    dialler.start()
    with pytest.raises(TlsError):
        dialler.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(WORD_BYTES))


@pytest.mark.parametrize("server_is_wrong", [False, True])
def test_another_device_with_the_right_word_gets_no_further(
    devices: tuple[Device, Device], tmp_path: Path, server_is_wrong: bool
) -> None:
    alice, bob = devices
    mallory = load_device(tmp_path)
    client = tls(alice if server_is_wrong else mallory, bob, server=False)
    server = tls(mallory if server_is_wrong else bob, alice, server=True)
    dialler = DirectPipe(known(WORD, client), ours=(WORD, client))
    door = DirectPipe(known(WORD, server))
    dialler.start()
    door.start()
    with pytest.raises(TlsError):
        carry(dialler, door)
    assert not door.handshake_done


def test_nothing_is_known_of_the_other_side_before_the_word(
    devices: tuple[Device, Device],
) -> None:
    door = DirectPipe(known(WORD, tls(*devices, server=True)))
    door.start()
    assert door.receive(b"x") == b""
    assert (door.handshake_done, door.eof, door.peer_certificate) == (False, False, None)
    assert (door.protocol, door.version, door.cipher, door.server_name) == (None, "", "", "")
    door.close()


# ---- in a tunnel ----


class FakeRelay:
    """Both ends of a tunnel, as a relay has them: it decrypts and passes on what it cannot read."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("relay.test").configure_cert(self._server)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.client)
        self.ends: list[TlsPipe] = []
        self.heard: list[bytes] = []

    def connect(self, inner: Pipe) -> TunnelPipe:
        self.ends.append(TlsPipe(self._server))
        self.heard.append(b"")
        return TunnelPipe(TlsPipe(self.client, server_hostname="relay.test"), TOKEN, inner)

    def serve(self, number: int, pipe: TunnelPipe, step: int = 1 << 20) -> tuple[bytes, bytes]:
        """Carry between one side and the relay; return what the side and the relay have read."""
        read, heard = carry(pipe, self.ends[number], step)
        self.heard[number] += heard
        return read, heard


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_tls_inside_of_tls_is_between_the_two_alone(
    devices: tuple[Device, Device], step: int
) -> None:
    alice, bob = devices
    relay = FakeRelay()
    left = relay.connect(tls(alice, bob, server=False))
    right = relay.connect(tls(bob, alice, server=True))
    for number, pipe in enumerate((left, right)):
        pipe.start()
        relay.serve(number, pipe, step)
        assert relay.heard[number] == TOKEN.encode() + b"\n"
        assert not pipe.handshake_done
    for end in relay.ends:
        end.send(b"JOINED\n")
    left_read = right_read = b""
    said = False
    for _ in range(20):
        read, heard = relay.serve(0, left, step)
        left_read += read
        if heard:
            relay.ends[1].send(heard)
        read, heard = relay.serve(1, right, step)
        right_read += read
        if heard:
            relay.ends[0].send(heard)
        if left.handshake_done and right.handshake_done and not said:
            said = True
            left.send(b"a secret of alice's")
            right.send(b"and one of bob's")
    assert (left_read, right_read) == (b"and one of bob's", b"a secret of alice's")
    assert left.peer_certificate == bob.certificate
    assert right.peer_certificate == alice.certificate
    assert not any(b"secret" in heard for heard in relay.heard)


def test_a_refused_token_is_told_in_the_words_of_the_relay(devices: tuple[Device, Device]) -> None:
    relay = FakeRelay()
    pipe = relay.connect(tls(*devices, server=False))
    pipe.start()
    relay.serve(0, pipe)
    relay.ends[0].send(b"REFUSED this token is not known\n")
    with pytest.raises(TlsError, match="this token is not known"):
        relay.serve(0, pipe)


def test_a_relay_that_never_ends_its_line_is_left(devices: tuple[Device, Device]) -> None:
    relay = FakeRelay()
    pipe = relay.connect(tls(*devices, server=False))
    pipe.start()
    relay.serve(0, pipe)
    relay.ends[0].send(b"x" * (TUNNEL_LINE_BYTES + 1))
    with pytest.raises(TlsError, match="speaks no tunnel"):
        relay.serve(0, pipe)


def test_the_relay_of_another_ca_is_told_no_token(devices: tuple[Device, Device]) -> None:
    relay, other = FakeRelay(), FakeRelay()
    relay.client = other.client
    pipe = relay.connect(tls(*devices, server=False))
    pipe.start()
    with pytest.raises(TlsError):
        relay.serve(0, pipe)
    assert relay.heard[0] == b""
