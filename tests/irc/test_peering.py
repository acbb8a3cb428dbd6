"""The signals by which peers find each other: what each side says is what the other one reads."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.message import BODY_BYTES, MAX_PARAMS, Message
from securechat.irc.peering import (
    CANDIDATES_PER_SIGNAL,
    CERTIFICATE_BYTES,
    CERTIFICATE_TAG,
    JOINED,
    REASON_BYTES,
    REFUSED,
    TOKEN_CHARACTERS,
    TUNNEL_LINE_BYTES,
    Announced,
    Answer,
    Candidate,
    Candidates,
    DeviceFound,
    End,
    Offer,
    Reachable,
    RelayPlace,
    Token,
    Withdraw,
    announce,
    answer,
    candidates,
    certificate_tag,
    fingerprint_of,
    is_fingerprint,
    is_id,
    is_token,
    list_reachable,
    look_up,
    offer,
    parse_candidates,
    parse_certificate,
    parse_signal,
    retract,
    tunnel,
    withdraw,
)
from securechat.irc.tags import CLIENT_TAG_DATA_BYTES, format_tags

CERTIFICATE = b"\x30\x82some DER\xff"
ENCODED = base64.b64encode(CERTIFICATE).decode()
TAG = f"@{CERTIFICATE_TAG}={ENCODED}"
NAME = hashlib.sha256(CERTIFICATE).hexdigest()
ID = "0123456789abcdef" * 2
TOKEN = "aB-_" * 10 + "xyz"
LONG_ADDRESS = "2001:db8:1111:2222:3333:4444:5555:6666"
MS = 1_700_000_000_250


# ---- from the relay ----


@pytest.mark.parametrize(
    ("line", "signal"),
    [
        (f"PEER ANNOUNCED {NAME} 192.0.2.1 5000", Announced(NAME, "192.0.2.1", 5000)),
        (f"PEER ANNOUNCED {NAME} 0::1 65535", Announced(NAME, "::1", 65535)),
        (f"PEER ANNOUNCED {NAME} 192.0.2.1 0", Announced(NAME, "192.0.2.1", 0)),
        (f"PEER announced {NAME} 192.0.2.1 5000 more", Announced(NAME, "192.0.2.1", 5000)),
        (
            f"{TAG} PEER DEVICE bob Bob {NAME} + 5 {MS}",
            DeviceFound("bob", "Bob", CERTIFICATE, True, 5, MS),
        ),
        (
            f"{TAG} PEER DEVICE bob * {NAME} - 5 {MS}",
            DeviceFound("bob", "", CERTIFICATE, False, 5, MS),
        ),
        ("PEER REACHABLE bob Bob", Reachable("bob", "Bob")),
        ("PEER UNREACHABLE bob Bob", Reachable("bob", "Bob", now=False)),
        ("PEER END LOOKUP bob", End("LOOKUP", "bob")),
        ("PEER END LIST *", End("LIST", "*")),
        (f"{TAG} :bob!u@h PEER OFFER Bob {NAME} {ID}", Offer("bob", "Bob", CERTIFICATE, ID)),
        (f"{TAG} :bob!u@h PEER ANSWER Bob {NAME} {ID}", Answer("bob", "Bob", CERTIFICATE, ID)),
        (f":bob!u@h PEER CANDIDATES {ID} :", Candidates(ID, ())),
        (
            f":bob!u@h PEER CANDIDATES {ID} :1.2.3.4:5678 [2001:DB8:0::1]:1",
            Candidates(ID, (Candidate("1.2.3.4", 5678), Candidate("2001:db8::1", 1))),
        ),
        (f"PEER TOKEN {ID} {TOKEN}", Token(ID, TOKEN)),
        (f"PEER TOKEN {ID} {TOKEN} a.example:66", Token(ID, TOKEN, RelayPlace("a.example", 66))),
        (f"PEER TOKEN {ID} {TOKEN} 192.0.2.1:1 +", Token(ID, TOKEN, RelayPlace("192.0.2.1", 1))),
        (f"PEER TOKEN {ID} {TOKEN} [::1]:66", Token(ID, TOKEN, RelayPlace("::1", 66))),
        (f":bob!u@h PEER WITHDRAW {ID} :not now", Withdraw(ID, "not now")),
        (f":bob!u@h PEER WITHDRAW {ID}", Withdraw(ID, "")),
        ("PEER SOMETHING new", None),
    ],
)
def test_what_the_relay_tells(line: str, signal: object) -> None:
    assert parse_signal(Message.parse(line)) == signal


@pytest.mark.parametrize(
    "line",
    [
        "PEER",
        f"PEER ANNOUNCED {NAME} 192.0.2.1",
        f"PEER ANNOUNCED {NAME[1:]} 192.0.2.1 5000",
        f"PEER ANNOUNCED {NAME.upper()} 192.0.2.1 5000",
        f"PEER ANNOUNCED {NAME} example.org 5000",
        f"PEER ANNOUNCED {NAME} fe80::1%eth0 5000",
        f"PEER ANNOUNCED {NAME} 192.0.2.1 65536",
        f"PEER ANNOUNCED {NAME} 192.0.2.1 -1",
        f"PEER ANNOUNCED {NAME} 192.0.2.1 00",
        f"PEER ANNOUNCED {NAME} 192.0.2.1 \u0665\u0660",
        f"PEER DEVICE bob Bob {NAME} + 5 {MS}",
        f"@{CERTIFICATE_TAG}= PEER DEVICE bob Bob {NAME} + 5 {MS}",
        f"@{CERTIFICATE_TAG}=a PEER DEVICE bob Bob {NAME} + 5 {MS}",
        f"@{CERTIFICATE_TAG}=*{ENCODED} PEER DEVICE bob Bob {NAME} + 5 {MS}",
        f"@{CERTIFICATE_TAG}=ü PEER DEVICE bob Bob {NAME} + 5 {MS}",
        f"{TAG} PEER DEVICE bob Bob {'0' * 64} + 5 {MS}",
        f"{TAG} PEER DEVICE bob Bob {NAME} + 5",
        f"{TAG} PEER DEVICE bob Bob {NAME} + 5 now",
        f"{TAG} PEER DEVICE bob Bob {NAME} + -5 {MS}",
        f"{TAG} PEER DEVICE bob Bob {NAME} + 5 {'9' * 5000}",
        "PEER REACHABLE bob",
        "PEER UNREACHABLE",
        "PEER END LOOKUP",
        f":bob!u@h PEER OFFER Bob {NAME} {ID}",
        f"{TAG} :bob!u@h PEER OFFER Bob {NAME}",
        f"{TAG} :bob!u@h PEER OFFER Bob {NAME} {ID[1:]}",
        f"{TAG} :bob!u@h PEER OFFER Bob {NAME} {ID.upper()}",
        f"{TAG} :bob!u@h PEER OFFER Bob {'0' * 64} {ID}",
        f"{TAG} :bob!u@h PEER ANSWER Bob {'0' * 64} {ID}",
        f":bob!u@h PEER ANSWER Bob {NAME} {ID}",
        f":bob!u@h PEER CANDIDATES {ID}",
        ":bob!u@h PEER CANDIDATES x :1.2.3.4:5",
        f":bob!u@h PEER CANDIDATES {ID} :1.2.3.4",
        f"PEER TOKEN {ID}",
        f"PEER TOKEN {ID} {TOKEN[1:]}",
        f"PEER TOKEN {ID} {TOKEN[1:]}=",
        f"PEER TOKEN x {TOKEN}",
        f"PEER TOKEN {ID} {TOKEN} :",
        *(
            f"PEER TOKEN {ID} {TOKEN} :{place}"
            for place in (":66", "a", "a:", "a:0", "a:65536", "a b:6", "::1:6", "[a]:6", "[::1:6")
        ),
        f"PEER TOKEN {ID} {TOKEN} {'a' * 254}:66",
        "PEER WITHDRAW",
        "PEER WITHDRAW x :reason",
    ],
)
def test_what_has_not_the_form(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_signal(Message.parse(line))


words = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=80)
subcommands = st.sampled_from(
    [
        *("ANNOUNCED", "DEVICE", "REACHABLE", "UNREACHABLE", "END", "OFFER", "ANSWER"),
        *("CANDIDATES", "TOKEN", "WITHDRAW"),
    ]
)


@given(subcommands, st.lists(st.sampled_from([NAME, ID, TOKEN, "1.2.3.4", "5"]) | words), words)
def test_whatever_comes_is_a_signal_or_an_error(word: str, params: list[str], tag: str) -> None:
    """And nothing else."""
    with contextlib.suppress(RemoteProtocolError):
        parse_signal(Message("PEER", (word, *params), "bob!u@h", {CERTIFICATE_TAG: tag}))


# ---- from a client ----


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (announce(CERTIFICATE), f"{TAG} PEER ANNOUNCE"),
        (retract(), "PEER RETRACT"),
        (look_up("bob"), "PEER LOOKUP bob"),
        (list_reachable(), "PEER LIST"),
        (offer("bob", ID), f"PEER OFFER bob * {ID}"),
        (offer("bob", ID, NAME), f"PEER OFFER bob {NAME} {ID}"),
        (answer(ID), f"PEER ANSWER {ID}"),
        (tunnel(ID), f"PEER TUNNEL {ID}"),
        (withdraw(ID), f"PEER WITHDRAW {ID} :"),
        (withdraw(ID, "not now"), f"PEER WITHDRAW {ID} :not now"),
        (withdraw(ID, "two\r\nlines\0"), f"PEER WITHDRAW {ID} :two  lines "),
    ],
)
def test_what_a_client_says(message: Message, line: str) -> None:
    assert message.to_line() == line


def test_a_long_reason_is_cut() -> None:
    """Between characters."""
    (*_, reason) = withdraw(ID, "é" * REASON_BYTES).params
    assert reason == "é" * (REASON_BYTES // 2)


def test_candidates_in_as_many_signals_as_they_need() -> None:
    assert [message.to_line() for message in candidates(ID, [])] == [f"PEER CANDIDATES {ID} :"]
    found = [Candidate("192.0.2.1", port) for port in range(1, 2 * CANDIDATES_PER_SIGNAL + 2)]
    signals = candidates(ID, iter(found))
    assert len(signals) == 3
    read = [parse_candidates(message.params[-1]) for message in signals]
    assert [candidate for group in read for candidate in group] == found
    assert max(map(len, read)) == CANDIDATES_PER_SIGNAL


def test_the_longest_candidates_fit_a_line() -> None:
    """With the longest source that can be configured: nick, user with its mark, and host."""
    source = f"{'n' * 64}!~{'u' * 64}@{'h' * 63}"
    found = [Candidate(LONG_ADDRESS, 65_535)] * CANDIDATES_PER_SIGNAL
    (message,) = candidates(ID, found)
    line = Message(message.command, message.params, source).to_line()
    assert len(line.encode()) <= BODY_BYTES
    reason = withdraw(ID, "x" * REASON_BYTES)
    assert len(Message(reason.command, reason.params, source).to_line()) <= BODY_BYTES
    introduction = Message("PEER", ("OFFER", "a" * 64, NAME, ID), source)
    assert len(introduction.to_line()) <= BODY_BYTES
    assert len(introduction.params) <= MAX_PARAMS


# ---- the parts ----


@pytest.mark.parametrize(
    ("word", "address", "port"),
    [
        ("1.2.3.4:5678", "1.2.3.4", 5678),
        ("1.2.3.4:1", "1.2.3.4", 1),
        ("1.2.3.4:65535", "1.2.3.4", 65_535),
        ("1.2.3.4:000080", "1.2.3.4", 80),
        ("[2001:db8::1]:5678", "2001:db8::1", 5678),
        ("[2001:0DB8:0:0:0:0:0:1]:5678", "2001:db8::1", 5678),
        ("[::1]:5678", "::1", 5678),
        (f"[{LONG_ADDRESS}]:65535", LONG_ADDRESS, 65_535),
    ],
)
def test_a_candidate(word: str, address: str, port: int) -> None:
    (candidate,) = parse_candidates(word)
    assert candidate == Candidate(address, port)
    assert parse_candidates(str(candidate)) == (candidate,)


@pytest.mark.parametrize(
    "word",
    [
        *("1.2.3.4", "1.2.3.4:", ":5678", "5678", "1.2.3:5", "1.2.3.4.5:6", "01.2.3.4:5"),
        *("1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1", "1.2.3.4:5x", "1.2.3.4:²"),
        *("[1.2.3.4]:5", "2001:db8::1:5", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]5678"),
        *("[2001:db8::1:5", "2001:db8::1]:5", "[]:5", "[::1%lo]:5", "[[::1]]:5", "[:]:5"),
        *("example.org:5", "localhost:5", "1.2.3.4:" + "9" * 5000, "\u0661.2.3.4:5"),
    ],
)
def test_no_candidate(word: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_candidates(word)
    with pytest.raises(RemoteProtocolError):
        parse_candidates(f"1.2.3.4:5 {word}")


def test_too_many_candidates() -> None:
    many = ["192.0.2.1:5"] * CANDIDATES_PER_SIGNAL
    assert len(parse_candidates(" ".join(many))) == CANDIDATES_PER_SIGNAL
    with pytest.raises(RemoteProtocolError, match=f"over {CANDIDATES_PER_SIGNAL}"):
        parse_candidates(" ".join([*many, "192.0.2.1:5"]))


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_candidate_survives(address: object, port: int) -> None:
    candidate = Candidate(str(address), port)
    if "%" not in candidate.address:
        assert parse_candidates(str(candidate)) == (candidate,)


@pytest.mark.parametrize("size", [1, 300, CERTIFICATE_BYTES])
def test_a_certificate_survives(size: int) -> None:
    certificate = bytes(number % 251 for number in range(size))
    message = Message.parse(announce(certificate).to_line())
    assert parse_certificate(message) == certificate
    assert len(format_tags(message.tags)) <= CLIENT_TAG_DATA_BYTES
    assert fingerprint_of(certificate) == hashlib.sha256(certificate).hexdigest()


@pytest.mark.parametrize("size", [0, CERTIFICATE_BYTES + 1])
def test_a_certificate_of_a_wrong_size(size: int) -> None:
    certificate = bytes(size)
    with pytest.raises(LocalProtocolError):
        certificate_tag(certificate)
    encoded = base64.b64encode(certificate).decode()
    with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
        parse_certificate(Message("PEER", tags={CERTIFICATE_TAG: encoded}))


@pytest.mark.parametrize(
    ("is_it", "right", "length"),
    [(is_id, ID, 32), (is_fingerprint, NAME, 64), (is_token, TOKEN, TOKEN_CHARACTERS)],
)
def test_forms(is_it, right: str, length: int) -> None:  # type: ignore[no-untyped-def]
    assert len(right) == length
    assert is_it(right)
    for wrong in ("", right[1:], right + "0", right + "\n", right[1:] + "é", right[1:] + "+"):
        assert not is_it(wrong)


def test_a_line_of_the_tunnel_has_room_for_what_is_said() -> None:
    assert max(TOKEN_CHARACTERS, len(JOINED), len(REFUSED)) < TUNNEL_LINE_BYTES
