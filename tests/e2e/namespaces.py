"""Machines of a test: network namespaces, joined by routers, with firewalls and NAT where wanted.

::

    alice ─── [NAT ───] router ─── [NAT ───] bob
                          │
                        relay

Each machine has a network of its own at the router, so all they say to each other goes through it.
Nothing of this can be seen from outside, and nothing outside from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection
from typing import Literal

import pytest

from tests.e2e.children import TIMEOUT_S

NUMBERS = {"alice": 1, "bob": 2, "relay": 3}
"""Of the machines' networks, by name."""

FORWARD = "echo 1 > /proc/sys/net/ipv4/ip_forward"

NAT = """
table ip nat {
  chain leaving { type nat hook postrouting priority 100
    oifname "out" masquerade
  }
  chain arriving { type nat hook prerouting priority -100
  }
}
table ip firewall {
  chain through { type filter hook forward priority 0
    ct status dnat accept
    iifname "out" ct state new drop
  }
  chain here { type filter hook input priority 0
    iifname "out" ct state new drop
  }
}
"""
"""Of a router as people have them at home: the ports stay the same where they are free (what RFC
4787 calls port preservation); from outside comes only what answers, or what a rule in ``arriving``
sends somewhere."""

OTHER_PORTS_NAT = NAT.replace("masquerade", "masquerade random")
"""Of one that takes another port for each connection, so that nobody can know it before."""


def address_of(name: str) -> str:
    """Return the address of a machine, or of its NAT: where the others see it."""
    return f"10.77.{NUMBERS[name]}.2"


def home_address_of(name: str, machine: Literal["host", "nat"]) -> str:
    """Return the address at home of somebody behind a NAT, or that of the NAT there."""
    return f"192.168.{NUMBERS[name]}.{1 if machine == 'nat' else 2}"


class Machine:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._namespace = f"securechat-{os.getpid()}-{name}"
        run("ip", "netns", "add", self._namespace)

    @property
    def command(self) -> list[str]:
        """What runs a command there, by being put before it."""
        return ["ip", "netns", "exec", self._namespace]

    def run(self, *arguments: str, stdin: str = "") -> None:
        run(*self.command, *arguments, stdin=stdin)

    def forward(self) -> None:
        """Be a router."""
        self.run("sh", "-c", FORWARD)

    def filter(self, rules: str) -> None:
        """Have these rules of ``nft`` and no others."""
        self.run("nft", "-f", "-", stdin=f"flush ruleset\n{rules}")

    def connect(self, interface: str, address: str, to: Machine, there: str, gateway: str) -> None:
        """Have an interface that is joined with one of a router, the only way from here."""
        ends = ("netns", self._namespace, "type", "veth", "peer", "name", there)
        run("ip", "link", "add", interface, *ends, "netns", to._namespace)
        for machine, name, own in ((to, there, gateway), (self, interface, address)):
            machine.run("ip", "address", "add", f"{own}/24", "dev", name)
            machine.run("ip", "link", "set", name, "up")
        self.run("ip", "route", "add", "default", "via", gateway)

    def remove(self) -> None:
        run("ip", "netns", "delete", self._namespace)


class Network:
    """The router and the machines around it. They are gone after ``close``.

    :param behind_nat: the names of those who are.
    """

    def __init__(self, behind_nat: Collection[str] = ()) -> None:
        self.machines: dict[str, Machine] = {}
        try:
            self.router = self._add("router")
            self.router.forward()
            for name, number in NUMBERS.items():
                self._join(name, number, behind_nat=name in behind_nat)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        while self.machines:
            self.machines.popitem()[1].remove()

    def _add(self, name: str) -> Machine:
        machine = self.machines[name] = Machine(name)
        machine.run("ip", "link", "set", "lo", "up")
        return machine

    def _join(self, name: str, number: int, *, behind_nat: bool) -> None:
        machine, gateway = self._add(name), f"10.77.{number}.1"
        if not behind_nat:
            machine.connect("eth0", address_of(name), self.router, name, gateway)
            return
        nat = self._add(f"nat-of-{name}")
        nat.forward()
        nat.filter(NAT)
        nat.connect("out", address_of(name), self.router, name, gateway)
        own, nat_address = home_address_of(name, "host"), home_address_of(name, "nat")
        machine.connect("eth0", own, nat, "in", nat_address)


def skip_where_there_are_none() -> None:
    """Skip the test where namespaces with NAT cannot be made, and say why."""
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no network namespaces: {' and '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("no network namespaces: only root may make them")
    try:
        network = Network(behind_nat=["alice"])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces: {error.stderr.strip()}")
    network.close()


def run(*command: str, stdin: str = "") -> None:
    subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
