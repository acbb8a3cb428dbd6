"""The vectors were computed by another implementation, from the text in the module alone."""

from __future__ import annotations

import pytest

from securechat.peer.safety_code import grouped, safety_code

ONE, TWO = b"first certificate", b"second certificate"


@pytest.mark.parametrize(
    ("sides", "code"),
    [
        (
            ("alice", ONE, "bob", TWO),
            "161935537277188936650984898932216802848401849280596355631058",
        ),
        (
            ("alice", ONE, "alice", TWO),
            "161935537277188936650984898932899123321579974677329025934198",
        ),
        (
            ("zoë", bytes(range(256)) * 8, "bob", b""),
            "191512979640354513483863952280736360252897032828768575844417",
        ),
        (
            ("a", b"b", "a", b"b"),
            "515791901783887922863852936845515791901783887922863852936845",
        ),
    ],
)
def test_vectors(sides: tuple[str, bytes, str, bytes], code: str) -> None:
    assert safety_code(*sides) == code
    assert safety_code(*sides[2:], *sides[:2]) == code


def test_accounts_and_certificates_all_count() -> None:
    codes = {
        safety_code(*sides)
        for sides in (
            ("alice", ONE, "bob", TWO),
            ("alice", TWO, "bob", ONE),
            ("alice", ONE, "bobby", TWO),
            ("alicf", ONE, "bob", TWO),
            ("alice", ONE + b"x", "bob", TWO),
            ("xalice", ONE, "bob", TWO),  # not the same as a longer certificate
            ("alice", ONE, "bob", TWO[:-1]),
        )
    }
    assert len(codes) == 7


def test_grouped() -> None:
    digits = "".join(f"{number:05}" for number in range(12))
    assert grouped(digits) == [
        "00000 00001 00002 00003",
        "00004 00005 00006 00007",
        "00008 00009 00010 00011",
    ]
