"""How many connections each address may have."""

from __future__ import annotations

from securechat.server.admission import Admission, Seat

REFUSED = "Too many connections from your address"


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
    admission = Admission(100, 1, ("198.51.100.0/24", "2001:db8::/64"))
    for address in (
        *("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"),
        *("198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7"),
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
