"""What a hostile peer can have us dial is little, and what we tell of ourselves is little."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.irc.peering import Candidate
from securechat.peer.candidates import (
    CANDIDATES_TRIED,
    LEAST_PORT,
    choose,
    local_addresses,
    why_refused,
)

RELAY = Candidate("198.51.100.7", 6697)
PORT = 50_000


def why(address: str, port: int = PORT) -> str:
    return why_refused(Candidate(address, port), relay=RELAY)


class TestRefused:
    @pytest.mark.parametrize(
        "address",
        [
            "192.168.1.20",
            "10.255.255.254",
            "172.16.0.1",
            "100.64.0.1",
            "192.0.2.1",
            "198.51.100.7",  # the relay's machine, on another port
            "223.255.255.255",
            "1.0.0.0",
            "2001:db8::1",
            "2a00:1450:4001::200e",
            "fd12:3456:789a::1",
            "::ffff:192.168.1.20",
            "64:ff9b::c000:201",  # 192.0.2.1
            "2002:c000:201::1",  # 192.0.2.1
            "2001:0:c000:201::3f57:fefe",  # Teredo of 192.168.1.1
        ],
    )
    def test_may_be_dialled(self, address: str) -> None:
        assert why(address) == ""

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("224.0.0.251", "multicast"),
            ("239.255.255.250", "multicast"),
            ("ff02::fb", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("fec0::1", "reserved"),
            ("100::1", "reserved"),
            ("4000::1", "reserved"),
            # an IPv4 address in another dress
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0.0.0.0", "unspecified"),
            ("::127.0.0.1", "reserved"),
            ("64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::1", "reserved"),  # RFC 8215: only the local network knows which
            ("2002:7f00:1::1", "loopback"),
            ("2002:a9fe:a9fe::1", "link-local"),
            ("2002:e000:fb::", "multicast"),
            ("2001:0:c000:201::80ff:fffe", "loopback"),  # Teredo of 127.0.0.1
        ],
    )
    def test_must_not_be_dialled(self, address: str, reason: str) -> None:
        assert reason in why(address)

    @pytest.mark.parametrize("port", [1, 22, 25, 80, LEAST_PORT - 1])
    def test_system_ports(self, port: int) -> None:
        assert why("192.168.1.20", port) == "a system port"
        assert why("192.168.1.20", LEAST_PORT) == ""

    @pytest.mark.parametrize(
        "address",
        ["198.51.100.7", "::ffff:198.51.100.7", "64:ff9b::198.51.100.7", "2002:c633:6407::1"],
    )
    def test_the_relay(self, address: str) -> None:
        candidate = Candidate(address, RELAY.port)
        assert why_refused(candidate, relay=RELAY) == "the relay itself"
        assert why_refused(candidate, relay=Candidate("::ffff:198.51.100.7", 6697)) != ""
        assert why_refused(candidate, relay=RELAY._replace(port=6698)) == ""
        assert why_refused(candidate, relay=None) == ""

    def test_loopback_for_tests_lets_nothing_else_through(self) -> None:
        def refused(address: str, port: int = PORT) -> str:
            return why_refused(Candidate(address, port), relay=None, allow_loopback=True)

        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            assert refused(address) == ""
            assert refused(address, 80) == "a system port"
        for address in ("0.0.0.0", "169.254.0.1", "::", "fe80::1", "224.0.0.1"):
            assert refused(address) != ""

    @given(st.ip_addresses())
    def test_what_passes_is_an_address_of_one_machine(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address
    ) -> None:
        """By the standard library's own tables."""
        if not why(str(address)):
            assert not address.is_loopback
            assert not address.is_link_local
            assert not address.is_multicast
            assert not address.is_unspecified


def numbered(first: int, count: int) -> list[Candidate]:
    return [Candidate(f"192.168.1.{number}", PORT) for number in range(first, first + count)]


class TestChoose:
    def test_the_order_stays_and_nothing_comes_twice(self) -> None:
        wanted = [*numbered(5, 2), *numbered(1, 3), *numbered(5, 2)]
        assert choose(wanted, [], relay=RELAY) == [*numbered(5, 2), *numbered(1, 3)]

    def test_what_was_chosen_before_is_left_out(self) -> None:
        assert choose(numbered(1, 4), numbered(2, 2), relay=RELAY) == [
            *numbered(1, 1),
            *numbered(4, 1),
        ]

    def test_what_is_refused_is_left_out_and_takes_no_place(self) -> None:
        wanted = [Candidate("127.0.0.1", PORT + number) for number in range(CANDIDATES_TRIED)]
        wanted += [RELAY, *numbered(1, 2)]
        assert choose(wanted, [], relay=RELAY) == numbered(1, 2)
        assert choose(wanted[:1], [], relay=RELAY, allow_loopback=True) == wanted[:1]

    def test_there_is_a_limit_over_all(self) -> None:
        already: list[Candidate] = []
        for first in (1, 11, 21):
            already += choose(numbered(first, 10), already, relay=RELAY)
        assert already == numbered(1, CANDIDATES_TRIED)
        assert choose(numbered(100, 1), already, relay=RELAY) == []


class TestLocalAddresses:
    @pytest.mark.parametrize("toward", [None, ("127.0.0.1", 6697), ("::1", 6697)])
    def test_they_are_of_this_machine(self, toward: tuple[str, int] | None) -> None:
        found = local_addresses(toward)
        assert len(found) <= 3
        for address in found:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.bind((address, 0))
        assert not {"127.0.0.1", "::1"} & set(found)

    @pytest.mark.parametrize(
        ("routes", "toward", "expected"),
        [
            ({}, ("203.0.113.5", 6697), []),
            ({"203.0.113.5": "10.8.0.2"}, ("203.0.113.5", 6697), ["10.8.0.2"]),
            (
                {
                    "203.0.113.5": "10.8.0.2",
                    "192.0.2.1": "192.168.1.20",
                    "2001:db8::1": "2a00:1::20",
                },
                ("203.0.113.5", 6697),
                ["10.8.0.2", "192.168.1.20", "2a00:1::20"],
            ),
            (
                {"203.0.113.5": "192.168.1.20", "192.0.2.1": "192.168.1.20"},
                ("203.0.113.5", 6697),
                ["192.168.1.20"],
            ),
            (
                {
                    "127.0.0.1": "127.0.0.1",
                    "192.0.2.1": "169.254.3.4",
                    "2001:db8::1": "fe80::1%eth0",
                },
                ("127.0.0.1", 6697),
                [],
            ),
            ({"192.0.2.1": "192.168.1.20"}, None, ["192.168.1.20"]),
        ],
    )
    def test_by_routes(
        self,
        routes: dict[str, str],
        toward: tuple[str, int] | None,
        expected: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The machine's routes are faked, as not every machine has one to the outside."""

        class Routed(socket.socket):
            def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
                assert self.type is socket.SOCK_DGRAM
                assert self.family is (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
                if address[0] not in routes:
                    raise OSError(101, "Network is unreachable")
                self.source = routes[address[0]]

            def getsockname(self) -> tuple[str, int]:
                return self.source, 40_000

        monkeypatch.setattr(socket, "socket", Routed)
        assert local_addresses(toward) == expected
