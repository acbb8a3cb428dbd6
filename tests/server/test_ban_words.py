"""Bans as people write and read them."""

from __future__ import annotations

import pytest

from securechat.server.ban_words import (
    DURATION_MOST_S,
    BadBan,
    normalise_ban_mask,
    parse_duration,
    until,
)
from securechat.server.bans import Ban

DAY_S = 86_400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("10", 600),
        ("10m", 600),
        ("1h30m", 5_400),
        ("1D12H", 1.5 * DAY_S),
        ("2w", 14 * DAY_S),
        ("1mo", 30 * DAY_S),
        ("1y2mo3d4h5m6s", (365 + 60 + 3) * DAY_S + 4 * 3_600 + 5 * 60 + 6),
        ("1h1h", 7_200),
        ("0", 0),
        ("100y", DURATION_MOST_S),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "1h ", "-5", "1.5h", "h1", "spam", "1!*@*", "٣"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["101y", "999999999", "100y1s"])
def test_longer_than_anybody_waits(text: str) -> None:
    with pytest.raises(BadBan, match="100 years at most"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("spam", "spam!*@*"),
        ("~u@host", "*!~u@host"),
        ("*@192.0.2.1", "*!*@192.0.2.1"),
        ("*@2001:db8::*", "*!*@2001:db8::*"),
        ("a!b@c", "a!b@c"),
        ("*!*@abc.ip", "*!*@abc.ip"),
    ],
)
def test_masks_are_completed(text: str, mask: str) -> None:
    assert normalise_ban_mask("K", text) == mask


@pytest.mark.parametrize(
    "text", ["*", "*@*", "*!*@*", "?*!*@*", "*!~*@*", "*@*.*", "*@*.ip", "*!?"]
)
def test_nobody_bans_everybody(text: str) -> None:
    with pytest.raises(BadBan, match="would ban everybody"):
        normalise_ban_mask("K", text)


@pytest.mark.parametrize("text", ["", "a b", ":x", "a\x07b", "x" * 200])
def test_what_is_no_mask(text: str) -> None:
    with pytest.raises(BadBan, match="a mask has"):
        normalise_ban_mask("K", text)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_networks_have_one_form(text: str, mask: str) -> None:
    assert normalise_ban_mask("D", text) == mask


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0.0.0.0/0", "would ban too many: /8 is the widest"),
        ("128.0.0.0/1", "would ban too many"),
        ("::/0", "would ban too many: /16 is the widest"),
        ("::ffff:0:0/96", "would ban too many"),
        ("127.0.0.1", "loopback cannot be banned"),
        ("127.9.0.0/16", "loopback cannot be banned"),
        ("::1", "loopback cannot be banned"),
        ("::ffff:127.0.0.1", "loopback cannot be banned"),
        ("spam", "neither an IP address nor a network"),
        ("192.0.2.*", "neither an IP address nor a network"),
        ("", "neither an IP address nor a network"),
    ],
)
def test_networks_that_cannot_be_banned(text: str, problem: str) -> None:
    with pytest.raises(BadBan, match=problem):
        normalise_ban_mask("D", text)


def test_until_when() -> None:
    lasting = Ban("K", "x!*@*", "spam", "root", 0)
    assert until(lasting) == "without an end"
    assert until(lasting._replace(expires_ms=1_700_000_000_999)) == "until 2023-11-14 22:13:20 UTC"
