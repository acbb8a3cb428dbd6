from __future__ import annotations

import re

import pytest

from securechat.irc import capabilities
from securechat.irc.capabilities import BITS, capability_names


def test_each_capability_has_a_bit_of_its_own() -> None:
    assert len(set(BITS.values())) == len(BITS)
    assert all(bit.bit_count() == 1 for bit in BITS.values())


def test_each_capability_has_a_constant() -> None:
    constants = {
        name: value
        for name, value in vars(capabilities).items()
        if name.isupper() and isinstance(value, int)
    }
    several = {"draft/metadata-2", "draft/metadata-3"}  # one thing under two names
    assert constants.pop("METADATA") == sum(BITS[name] for name in several)
    single = {name: bit for name, bit in BITS.items() if name not in several}
    assert sorted(constants.values()) == sorted(single.values())
    for name, bit in single.items():
        constant = name.rpartition("/")[2].replace("-", "_").upper()
        assert constants[constant] == bit


@pytest.mark.parametrize("name", BITS)
def test_names_can_be_sent(name: str) -> None:
    """capability-negotiation: "Capability names are case-sensitive, and MUST NOT start with a
    hyphen (`-`). Typical capability names SHOULD be lowercase, and use hyphens to separate words".
    """
    assert re.fullmatch(r"((draft|securechat|soju\.im)/)?[a-z]+(-[a-z]+)*(-[0-9])?", name)


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0, []),
        (capabilities.SASL, ["sasl"]),
        (capabilities.SERVER_TIME | capabilities.BATCH, ["batch", "server-time"]),
        (1 << 60, []),
        (-1, list(BITS)),
    ],
)
def test_capability_names(mask: int, names: list[str]) -> None:
    assert capability_names(mask) == names
