"""Who is always on stays in the chat while no device is attached."""

from __future__ import annotations

import pytest

from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, WALL_S, Client, RunningRelay, commands

DAY_S = 86_400


def stay(client: Client, value: str = "on") -> None:
    found = client.ask(f"SET always-on {value}")
    assert found[-1] == f"NOTICE {client.nick} :always-on is {value}"


def together(relay: RunningRelay) -> tuple[Client, Client]:
    """Return ann, who is always on, and bob, in a room."""
    ann, bob = relay.account("ann"), relay.join("bob", "away-notify")
    stay(ann)
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    return ann, bob


def names(client: Client, room: str = "#a") -> set[str]:
    return {
        nick.lstrip("~&@%+")
        for message in client.collect(f"NAMES {room}")
        if message.command == "353"
        for nick in message.params[-1].split()
    }


def test_the_nick_stays_in_its_rooms(relay: RunningRelay) -> None:
    ann, bob = together(relay)
    ann.quit()
    assert bob.seen() == [":ann AWAY :Not here at the moment"]
    assert names(bob) == {"ann", "bob"}
    assert bob.ask("PRIVMSG ann :hi") == ["301 bob ann :Not here at the moment"]
    assert "301" in commands(bob.ask("WHOIS ann"))
    assert bob.ask("WHO ann")[0].split(" ")[7][0] == "G"
    assert bob.ask("ISON ann") == ["303 bob ann"]


def test_the_return(relay: RunningRelay) -> None:
    """A device that comes back finds the rooms as if it had never left, ranks too."""
    ann, bob = together(relay)
    ann.quit()
    bob.ask("TOPIC #a :news")
    ann = relay.connect()
    ann.request("sasl")
    ann.authenticate_plain("ann")
    ann.send("NICK ann", "USER ann 0 * :Ann", "CAP END")
    ann.expect("422")
    shown = ann.seen()
    assert shown[0] == ":ann JOIN #a"
    assert names(ann) == {"ann", "bob"}
    assert bob.expect("AWAY").params == ()
    assert ann.ask("MODE #a +v bob") == [":ann MODE #a +v bob"]


def test_off_again(relay: RunningRelay) -> None:
    ann, bob = together(relay)
    ann.quit()
    ann = relay.login("ann")
    stay(ann, "off")
    bob.sync()
    ann.quit()
    assert commands(bob.seen()) == ["QUIT"]
    assert names(bob) == {"bob"}


def test_only_who_wishes_it(relay: RunningRelay) -> None:
    ann, bob = relay.account("ann"), relay.join("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.quit()
    assert commands(bob.seen()) == ["QUIT"]


def test_only_under_the_nick_of_the_account(relay: RunningRelay) -> None:
    ann, bob = together(relay)
    ann.ask("NICK ann_")
    ann.quit()
    assert commands(bob.seen()) == ["NICK", "QUIT"]


@pytest.mark.parametrize(
    ("mode", "wish", "stays"),
    [("off", "on", False), ("opt-out", "default", True), ("opt-out", "off", False)],
)
def test_what_the_relay_has(start_relay: StartRelay, mode: str, wish: str, stays: bool) -> None:
    relay = start_relay(accounts={"always_on": mode})
    ann, bob = relay.account("ann"), relay.join("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    stay(ann, wish)
    ann.quit()
    assert (names(bob) == {"ann", "bob"}) == stays


def test_the_setting_needs_an_account(relay: RunningRelay) -> None:
    (found,) = relay.join("bob", "standard-replies").ask("SET always-on on")
    assert found.startswith("FAIL SET ACCOUNT_REQUIRED ")


def test_kick_and_ban(relay: RunningRelay) -> None:
    bob = relay.join("bob")
    bob.ask("JOIN #a")
    ann = relay.account("ann")
    stay(ann)
    ann.ask("JOIN #a")
    ann.quit()
    bob.sync()
    assert bob.ask("MODE #a +b ann", "KICK #a ann :out") == [
        ":bob MODE #a +b ann!*@*",
        ":bob KICK #a ann out",
    ]
    ann = relay.login("ann")
    assert names(ann) == {"bob"}
    assert commands(ann.ask("JOIN #a")) == ["474"]


def test_kill(start_relay: StartRelay) -> None:
    hashed = hash_password(PASSWORD, Argon2Parameters(8, 1, 1))
    relay = start_relay(operators=(OperatorConfig("root", hashed),))
    ann, bob = together(relay)
    ann.quit()
    root = relay.join("root")
    root.ask(f"OPER root :{PASSWORD}", "KILL ann :enough")
    assert commands(bob.seen()) == ["AWAY", "QUIT"]
    assert root.ask("ISON ann") == ["303 root :"]
    relay.login("ann").quit()
    assert root.ask("ISON ann") == ["303 root ann"]


def test_what_operators_and_others_see(start_relay: StartRelay) -> None:
    """No session, and nothing breaks for it: WHOIS, WHO, USERHOST, LUSERS, MODE, INVITE."""
    hashed = hash_password(PASSWORD, Argon2Parameters(8, 1, 1))
    relay = start_relay(operators=(OperatorConfig("root", hashed),))
    ann, bob = together(relay)
    ann.quit()
    root = relay.join("root")
    root.ask(f"OPER root :{PASSWORD}", "JOIN #b")
    for line in (
        "WHOIS ann", "WHO ann %tcuihsnfdlaor", "USERHOST ann", "LUSERS", "MODE ann", "WHO #a",
        "INVITE ann #b", "PRIVMSG ann :x", "TAGMSG ann", "NOTICE ann :x", "MONITOR + ann",
        "STATS u", "MODE #b +b ann", "WHOWAS ann", "NAMES #a", "ISON ann",
    ):  # fmt: skip
        assert "400" not in commands(root.ask(line)), line
    assert "QUIT" not in commands(bob.seen())


def test_no_operator_by_coming_back(start_relay: StartRelay) -> None:
    hashed = hash_password(PASSWORD, Argon2Parameters(8, 1, 1))
    relay = start_relay(operators=(OperatorConfig("root", hashed),))
    ann, _ = together(relay)
    ann.ask(f"OPER root :{PASSWORD}")
    ann.quit()
    ann = relay.login("ann")
    assert ann.ask("MODE ann") == ["221 ann +"]


# ---- over a restart ----


def test_a_restart(start_relay: StartRelay) -> None:
    first = start_relay()
    ann, _ = together(first)
    ann.ask("SETNAME :Ann the First")
    host = first.session("ann").host
    ann.quit()
    dan = first.account("dan")
    stay(dan)  # and is there until the end
    first.account("eve").quit()
    first.stop()
    second = start_relay()
    bob = second.join("bob")
    assert bob.ask("ISON ann dan eve") == ["303 bob :ann dan"]
    assert bob.ask("USERHOST ann")[0] == f"302 bob ann=-~ann@{host}"
    assert "311 bob ann ~ann" in bob.ask("WHOIS ann")[0]
    assert bob.ask("WHOIS ann")[0].endswith(":Ann the First")
    ann = second.login("ann")
    assert ann.ask("PRIVMSG ann :x")[-1] == ":ann PRIVMSG ann x"
    assert bob.ask("PRIVMSG ann :x") == []


def test_a_restart_brings_them_back_into_their_rooms(start_relay: StartRelay) -> None:
    """Into those that outlive it: that belong to somebody."""
    first = start_relay()
    ann, dan = first.account("ann"), first.account("dan")
    for client in (ann, dan):
        stay(client)
    ann.ask("JOIN #a", "JOIN #left", "PART #left", "TOPIC #a :news")
    dan.ask("JOIN #a")
    first.account("eve").ask("JOIN #a")
    ann.quit()
    dan.sync()
    first.stop()
    second = start_relay()
    bob = second.join("bob")
    bob.ask("JOIN #a")
    found = [m.params[-1] for m in bob.collect("NAMES #a") if m.command == "353"]
    assert set(found[0].split()) == {"~ann", "dan", "bob"}
    ann = second.login("ann", "multi-prefix")
    assert ann.ask("MODE #a +v bob") == [":ann MODE #a +v bob"]
    assert names(ann, "#left") <= {"bob"}


def test_too_long(start_relay: StartRelay) -> None:
    now = [WALL_S]
    relay = start_relay(accounts={"always_on_days": 2}, wall_clock=lambda: now[0])
    ann, bob = together(relay)
    ann.quit()
    now[0] += DAY_S
    relay.join("carl").quit()
    assert commands(bob.seen()) == ["AWAY"]
    now[0] += DAY_S + 1
    relay.join("carl").quit()
    assert bob.seen() == [":ann QUIT :Gone for too long"]


def test_too_long_over_a_restart(start_relay: StartRelay) -> None:
    first = start_relay(accounts={"always_on_days": 2})
    ann, _ = together(first)
    ann.quit()
    first.stop()
    now = WALL_S + 2 * DAY_S + 1
    second = start_relay(accounts={"always_on_days": 2}, wall_clock=lambda: now)
    assert second.join("bob").ask("ISON ann") == ["303 bob :"]
