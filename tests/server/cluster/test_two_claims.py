"""Two people who claim the same at one instant, on two relays: exactly one has it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from tests.server.cluster.cluster_harness import Relays, log_of, replies
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Client, commands

CLAIMS = 50


def claim(clients: Sequence[Client], lines: Sequence[str]) -> None:
    """Have all clients send a line when none has been told of the others' yet."""
    together = threading.Barrier(len(clients))

    def send(client: Client, line: str) -> None:
        together.wait(LONG_TIMEOUT_S)
        client.send(line)

    threads = [
        threading.Thread(target=send, args=each) for each in zip(clients, lines, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def outcomes(clients: Sequence[Client]) -> list[str]:
    """Return, in order, what each was answered to its claim."""
    found = []
    for client in clients:
        client.sync()
        answers = commands(line.decode() for line in client.lines)
        client.lines.clear()
        found.append(next(word for word in answers if word in ("001", "433", "NICK")))
    return sorted(found)


def test_of_two_who_come_with_one_nick_one_gets_it(relays: Relays) -> None:
    starters = [relays.start(name) for name in "ab"]
    for n in range(CLAIMS):
        clients = [relay.connect() for relay in starters]
        for client in clients:
            client.send("USER x 0 * :x")
            client.sync()
        claim(clients, [f"NICK Claimed{n}", f"NICK claimed{n}"])
        assert outcomes(clients) == ["001", "433"]
    relays.settle()


def test_of_two_who_change_to_one_nick_one_gets_it(relays: Relays) -> None:
    clients = [relays.start(name).join(name) for name in "ab"]
    for n in range(CLAIMS):
        for client in clients:
            client.lines.clear()
        claim(clients, [f"NICK other{n}", f"NICK other{n}"])
        assert outcomes(clients) == ["433", "NICK"]
    relays.settle()


def test_of_two_who_register_one_account_one_gets_it(relays: Relays) -> None:
    starters = [relays.start(name) for name in "ab"]
    for n in range(5):
        name = f"owner{n}"
        clients = []
        for relay in starters:
            client = relay.connect()
            client.request("draft/account-registration")
            client.send(f"NICK {name}")
            client.sync()
            clients.append(client)
        claim(clients, [f"REGISTER {name} * :{PASSWORD}"] * 2)
        answers = [answer for client in clients for answer in client.sync()]
        told = [each.params[:2] for each in answers if each.command in ("REGISTER", "FAIL")]
        assert sorted(told) == [("REGISTER", "ACCOUNT_EXISTS"), ("SUCCESS", name)]
    relays.settle()


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_nick_that_is_given_up_is_free_on_the_other_relay(relays: Relays, first: str) -> None:
    a, b = relays.start("a"), relays.start("b")
    one, other = (a, b) if first == "a" else (b, a)
    holder, heir = one.join("shared"), other.join("heir")
    assert commands(replies(heir, "NICK shared")) == ["433"]
    holder.quit()
    relays.catch_up()
    assert replies(heir, "NICK shared") == [":heir NICK shared"]
    assert log_of(a).standing.on_their_way == 0
