"""How many connections each address may have."""

from __future__ import annotations

from securechat.server.admission import Admission, Seat
from securechat.server.bans import Ban

REFUSED = "Too many connections from your address"
BANNED = "You are banned from this relay: spam"


def take(admission: Admission, address: str) -> Seat:
    seat = admission.take(address)
    assert seat is not None
    return seat


def test_a_seat_over_the_limit_has_a_refusal() -> None:
    admission = Admission(100, 2, ())
    seats = [take(admission, "192.0.2.1") for _ in range(4)]
    assert [seat.refusal for seat in seats] == ["", "", REFUSED, REFUSED]
    assert admission.take("192.0.2.1") is None, "far over it, not even that"
    for seat in seats[1:]:
        seat.leave()
    assert take(admission, "192.0.2.1").refusal == ""
    assert take(admission, "192.0.2.2").refusal == ""


def test_all_connections() -> None:
    admission = Admission(2, 0, ())
    seats = [take(admission, f"192.0.2.{number}") for number in range(2)]
    assert admission.take("192.0.2.9") is None
    seats[0].leave()
    assert admission.take("192.0.2.9") is not None


def test_no_limit() -> None:
    admission = Admission(100, 0, ())
    assert not any(take(admission, "192.0.2.1").refusal for _ in range(50))


def test_who_is_exempt() -> None:
    admission = Admission(100, 1, ("198.51.100.0/24", "2001:db8::/64", "::ffff:203.0.113.0/120"))
    for address in (
        *("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"),
        *("198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7", "203.0.113.7"),
    ):
        assert not any(take(admission, address).refusal for _ in range(5)), address
    take(admission, "198.51.101.7")
    assert take(admission, "198.51.101.7").refusal


def test_a_seat_that_moves_counts_where_it_is() -> None:
    """A web gateway has named the address of its client."""
    admission = Admission(100, 1, ("198.51.100.7/32",))
    first, second = (take(admission, "198.51.100.7") for _ in range(2))
    first.move("192.0.2.1")
    assert (first.address, first.refusal) == ("192.0.2.1", "")
    second.move("192.0.2.1")
    assert second.refusal == REFUSED
    second.leave()
    first.leave()
    assert take(admission, "192.0.2.1").refusal == ""


def banning(*masks: str, now_s: list[float], exempt: tuple[str, ...] = ()) -> Admission:
    admission = Admission(100, 2, exempt, wall_clock=lambda: now_s[0])
    for mask in masks:
        admission.ban(Ban("D", mask, "spam", "root", 0, 10_000))
    return admission


def test_who_is_banned_gets_no_seat_until_the_ban_ends() -> None:
    now_s = [9.5]
    admission = banning("192.0.2.0/24", "198.51.100.1", now_s=now_s)
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "198.51.100.1"):
        assert admission.take(address) is None
    assert take(admission, "198.51.100.2").refusal == ""
    admission.end_ban(Ban("D", "198.51.100.1", "", "", 0))
    assert take(admission, "198.51.100.1").refusal == ""
    now_s[0] = 10
    assert take(admission, "192.0.2.7").refusal == ""


def test_loopback_and_gateways_are_not_banned() -> None:
    admission = banning("0.0.0.0/0", "::/0", now_s=[0.0], exempt=("192.0.2.7/32",))
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.7"):
        assert take(admission, address).refusal == ""
    assert admission.take("192.0.2.8") is None
    assert admission.take("2001:db8::1") is None


def test_whom_a_gateway_names_may_be_banned() -> None:
    admission = banning("192.0.2.0/24", now_s=[0.0])
    seat = take(admission, "198.51.100.7")
    seat.move("192.0.2.1")
    assert (seat.address, seat.refusal) == ("192.0.2.1", BANNED)
    seat.move("203.0.113.1")
    assert seat.refusal == ""


def test_a_banned_connection_is_not_counted() -> None:
    admission = banning("192.0.2.0/24", now_s=[0.0])
    assert [admission.take("192.0.2.1") for _ in range(5)] == [None] * 5
    admission.end_ban(Ban("D", "192.0.2.0/24", "", "", 0))
    assert [take(admission, "192.0.2.1").refusal for _ in range(3)] == ["", "", REFUSED]
