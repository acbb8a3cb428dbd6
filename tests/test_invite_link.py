from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import InviteLinkError
from securechat.invite_link import (
    DEFAULT_PORT,
    LINK_CHARS,
    InviteLink,
    explain_invite_link,
    format_invite_link,
    is_invite_link,
    parse_invite_link,
)

CA = bytes(range(32))
CA_TEXT = base64.urlsafe_b64encode(CA).decode().rstrip("=")
FULL = InviteLink("chat.example.org", 7000, "Vx3_-z", CA, "#friends", "alice")
FULL_TEXT = (
    f"securechat://chat.example.org:7000/#token=Vx3_-z,room=%23friends,account=alice,ca={CA_TEXT}"
)


def test_the_form_of_a_link() -> None:
    assert format_invite_link(FULL) == FULL_TEXT
    assert parse_invite_link(FULL_TEXT) == FULL


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("securechat://h/#token=t", InviteLink("h", DEFAULT_PORT, "t")),
        ("securechat://h#token=t", InviteLink("h", DEFAULT_PORT, "t")),
        (" \tSecureChat://h:1/#token=t \n", InviteLink("h", 1, "t")),
        ("securechat://[::1]/#token=t", InviteLink("::1", DEFAULT_PORT, "t")),
        ("securechat://[::1]:65535/#token=t", InviteLink("::1", 65_535, "t")),
        (f"securechat://h/#ca={CA_TEXT},token=t", InviteLink("h", DEFAULT_PORT, "t", CA)),
        ("securechat://h/#token=t,room=#a", InviteLink("h", DEFAULT_PORT, "t", None, "#a")),
        ("securechat://h/#token=t,room=%23%D0%B4", InviteLink("h", DEFAULT_PORT, "t", room="#д")),
        ("securechat://h/#token=t,new=a%20b,flag", InviteLink("h", DEFAULT_PORT, "t")),
    ],
)
def test_what_is_a_link(text: str, link: InviteLink) -> None:
    assert is_invite_link(text)
    assert parse_invite_link(text) == link


ONE_WORD = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60).filter(
    str.isprintable
)


@given(
    host=st.sampled_from(["chat.example.org", "192.0.2.1", "2001:db8::1"]),
    port=st.integers(1, 65_535),
    token=st.text("abcXYZ019_-", min_size=1, max_size=128),
    ca=st.none() | st.binary(min_size=32, max_size=32),
    room=st.just("") | ONE_WORD,
    account=st.just("") | ONE_WORD,
)
def test_a_link_is_read_as_it_was_written(
    host: str, port: int, token: str, ca: bytes | None, room: str, account: str
) -> None:
    link = InviteLink(host, port, token, ca, room, account)
    text = format_invite_link(link)
    assert text.isascii()
    assert not set(text) & set(" \"'`$&;<>()*?!|\\")  # nothing that a shell would take for its own
    assert len(text) > LINK_CHARS or parse_invite_link(text) == link


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with securechat://"),
        ("ircs://chat.example.org", "begins with securechat://"),
        ("securechat://", "not complete"),
        ("securechat://h", "not complete"),
        ("securechat://h/", "not complete"),
        ("securechat://h/#", "not complete"),
        ("securechat://h/#token=", "not complete"),
        ("securechat://h/#token=a b", "not complete"),
        ("securechat://h/#token=t%0d%0aQUIT", "not complete"),
        ("securechat://h/#token=" + "t" * 129, "not complete"),
        ("securechat://h/#token=t,token=t", "not complete"),
        ("securechat:///#token=t", "not complete"),
        ("securechat://ann@h/#token=t", "not complete"),
        ("securechat://h h/#token=t", "not complete"),
        ("securechat://::1/#token=t", "not complete"),
        ("securechat://h/#token=t,room=%FF", "not complete"),
        ("securechat://h/#token=t,room=%23a%20b", "not complete"),
        ("securechat://h/#token=t,account=a%20b", "not complete"),
        ("securechat://h/#token=t,account=a%E2%80%AEb", "not complete"),  # right to left
        ("securechat://h/#token=t,account=\udcff", "not complete"),
        (f"securechat://h/#token=t,ca={CA_TEXT[:-1]}", "not complete"),
        (f"securechat://h/#token=t,ca={CA_TEXT}AAAA", "not complete"),
        ("securechat://h/#token=t,ca=", "not complete"),
        ("securechat://h/#token=t,ca=%C3%A4", "not complete"),
        ("securechat://h:/#token=t", "no usable port"),
        ("securechat://h:0/#token=t", "no usable port"),
        ("securechat://h:65536/#token=t", "no usable port"),
        ("securechat://h:٣/#token=t", "no usable port"),
        ("securechat://h:6697/invite#token=t", "no usable port"),
        ("securechat://h/#token=t," + "x" * LINK_CHARS, f"at most {LINK_CHARS} characters"),
    ],
)
def test_what_is_no_link(text: str, says: str) -> None:
    with pytest.raises(InviteLinkError, match=says):
        parse_invite_link(text)


def test_the_end_of_a_link_that_was_cut_off_is_noticed() -> None:
    """A messenger may break a line; with a part of the hash missing nobody must be believed."""
    without_ca = FULL_TEXT.index(",ca=")
    for end in range(len(FULL_TEXT)):
        try:
            found = parse_invite_link(FULL_TEXT[:end])
        except InviteLinkError:
            continue
        assert end <= without_ca + len(",ca")  # no hash at all: then only what the system knows
        assert found.ca is None


def test_the_token_is_not_shown() -> None:
    assert FULL.token not in repr(FULL)


# ---- for other programs ----

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def commands(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("  /")]


def test_how_other_programs_use_it() -> None:
    text = explain_invite_link(FULL, PEM)
    assert f"\n\n{PEM}\n" in text
    assert "for the nick alice only" in text
    assert "WeeChat then trusts it for all networks." in " ".join(text.split())
    code = "invite:Vx3_-z:alice:PASSWORD"
    assert commands(text) == [
        '/set weechat.network.gnutls_ca_user "FILE"',
        f"/server add securechat chat.example.org/7000 -tls -nicks=alice -password={code}",
        "/connect securechat",
        f"/connect -tls -tls_verify -tls_cafile FILE chat.example.org 7000 {code} alice",
        "/unset irc.server.securechat.password",
        "/set irc.server.securechat.sasl_mechanism plain",
        "/set irc.server.securechat.sasl_username alice",
        "/set irc.server.securechat.sasl_password PASSWORD",
        "/save",
        (
            "/network add -nick alice -sasl_mechanism PLAIN -sasl_username alice"
            " -sasl_password PASSWORD securechat"
        ),
        (
            "/server add -auto -network securechat -tls -tls_verify -tls_cafile FILE"
            " chat.example.org 7000"
        ),
        "/save",
        "/join #friends",
    ]


def test_a_link_that_leaves_much_open() -> None:
    text = explain_invite_link(InviteLink("::1", 6697, "t"), "")
    assert "FILE" not in text
    assert "gnutls_ca_user" not in text
    assert "/join" not in text
    assert "in place of NICK" in text
    assert "/connect -tls -tls_verify ::1 6697 invite:t:NICK:PASSWORD NICK" in commands(text)
    assert "/server add securechat ::1/6697 -tls -nicks=NICK -password=invite:t:NICK:PASSWORD" in (
        commands(text)
    )


def test_the_words_can_be_in_another_language() -> None:
    text = explain_invite_link(FULL, PEM, translate=lambda text, **values: "слово")
    lines = text.replace(PEM, "").splitlines()
    assert {line for line in lines if not line.startswith("  /")} == {
        *("", "слово", "слово слово"),
        *("WeeChat:", "irssi:"),
    }
