"""WHO and WHOX: lists of people."""

from __future__ import annotations

import pytest

from securechat.server.state import Membership, User
from tests.server.commands.operators import as_operator, with_operator
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, WALL_S, RunningRelay, commands


def whom(lines: list[str], place: int = 6) -> list[str]:
    """Return the nicks of answers to WHO."""
    return [line.split(" ")[place] for line in lines if line.startswith("352")]


def test_who(relay: RunningRelay) -> None:
    """RPL_WHOREPLY: "<client> <channel> <username> <host> <server> <nick> <flags> :<hopcount>
    <realname>"; "H" here, "G" gone, "*" operator, then the rank."""
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    host = relay.session("ann").host
    bob.ask("AWAY :x")
    reply_ann = f"352 carl #a ~ann {host} {NAME} ann H@ :0 Real ann"
    reply_bob = f"352 carl #a ~bob {host} {NAME} bob G :0 Real bob"
    reply_carl = f"352 carl * ~carl {host} {NAME} carl H :0 Real carl"

    def end(mask: str) -> str:
        return f"315 carl {mask} :End of WHO list"

    assert carl.ask("WHO #A") == [reply_ann, reply_bob, end("#A")]
    assert carl.ask("WHO ANN") == [reply_ann, end("ANN")]
    assert carl.ask("WHO c*l") == [reply_carl, end("c*l")]
    assert carl.ask("WHO") == [reply_ann, reply_bob, reply_carl, end("*")]
    assert carl.ask("WHO nobody", "WHO #none") == [end("nobody"), end("#none")]
    assert carl.ask("WHO * o") == [end("*")]
    ann.ask("MODE #a +s")
    assert carl.ask("WHO #a") == [end("#a")]
    assert carl.ask("WHO ann") == [reply_ann.replace("#a", "*").replace("H@", "H"), end("ann")]


def test_invisible_users(relay: RunningRelay) -> None:
    """ "Visible users are users who either aren't invisible (user mode +i) or have a common channel
    with the requesting client." """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    ann.ask("MODE ann +i")
    assert len(carl.ask("WHO a*n")) == 1  # no host ends with n: masks are of hosts too
    assert len(carl.ask("WHO #a")) == 2
    assert len(carl.ask("WHO ann")) == 2
    assert len(bob.ask("WHO a*n")) == 2
    assert len(bob.ask("WHO #a")) == 3
    assert not any(line.startswith("319") for line in carl.ask("WHOIS ann"))
    assert "319 bob ann @#a" in bob.ask("WHOIS ann")


def test_masks_of_more_than_the_nick(relay: RunningRelay) -> None:
    """ "Servers MAY match other user-specific values, such as the hostname, server, real name or
    username." """
    ann = relay.join("ann")
    bob = relay.connect()
    bob.send("NICK bob", "USER builder 0 * :The Maker of Things")
    bob.expect("001")
    host = relay.session("bob").host
    for mask in ("~build*", "*maker*", "bob!*@*", f"*!~b*@{host}", "bo?", "BOB", "Bob!~BUILDER@*"):
        assert whom(ann.ask(f"WHO {mask}")) == ["bob"], mask
    assert whom(ann.ask(f"WHO {host}")) == ["ann", "bob"]
    assert whom(ann.ask(f"WHO {NAME}")) == ["ann", "bob"]
    assert whom(ann.ask("WHO :The Maker of Things")) == ["bob"]
    assert whom(ann.ask("WHO *builder")) == ["bob"]
    assert whom(ann.ask("WHO *@elsewhere")) == []


def test_flags_that_name_what_is_compared(relay: RunningRelay) -> None:
    """ "Servers MAY support additional non-standard flags before the percent character." """
    ann, bob = relay.account("ann"), relay.join("bob")
    for question, found in {
        "ann": ["ann"],
        "ann n": ["ann"],
        "ann a": ["ann"],
        "bob a": [],
        "*bob u": ["bob"],
        "*bob r": ["bob"],
        "*bob h": [],
        "*bob ar": ["bob"],
        "*.test s": ["ann", "bob"],
        "255.255.255.255 i": ["ann"],
        "127.0.0.1 i": ["bob"],
        "127.0.0.1": [],
    }.items():
        assert whom(bob.ask(f"WHO {question}")) == found, question
    assert len(ann.ask("WHO * %n")) == 3


def test_everybody(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    relay.join("bob")
    for line, mask in {"WHO": "*", "WHO *": "*", "WHO 0": "0", "WHO :": "*"}.items():
        found = ann.ask(line)
        assert whom(found) == ["ann", "bob"]
        assert found[-1] == f"315 ann {mask} :End of WHO list"


def test_the_channel_that_was_asked_for(relay: RunningRelay) -> None:
    """ "If the WHO command was given a channel as the <mask> parameter, then the same channel MUST
    be returned in <channel>." """
    ann, bob = together(relay, "ann", "bob")
    ann.ask("JOIN #b")
    bob.ask("JOIN #b")
    for name in ("#a", "#b"):
        assert {line.split(" ")[2] for line in bob.ask(f"WHO {name}")[:-1]} == {name}


def test_operators_only(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    ann, root = together(relay, "ann", "root")
    as_operator(root)
    for mask in ("*", "#a", "root", "r*"):
        assert whom(ann.ask(f"WHO {mask} o")) == ["root"], mask
    assert whom(ann.ask("WHO ann o")) == []
    assert ann.ask("WHO #a o%nf") == ["354 ann root H*", "315 ann #a :End of WHO list"]
    ann.ask("JOIN #secret", "MODE #secret +s", "MODE ann +i")
    assert whom(root.ask("WHO a*n")) == ["ann"]
    assert whom(root.ask("WHO #secret")) == ["ann"]


def test_the_rank_of_an_invisible_user_in_a_room_is_not_shown(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    ann.ask("JOIN #a", "MODE ann +i")
    (found, _end) = relay.join("carl").ask("WHO ann")
    assert found.startswith("352 carl * ")
    assert " ann H :" in found


def test_all_prefixes(relay: RunningRelay) -> None:
    """multi-prefix: "the server (…) MUST send all prefixes (…) in order of 'rank'" """
    ann = relay.join("ann", "multi-prefix")
    ann.ask("JOIN #a", "MODE #a +v ann")
    (found, _end) = ann.ask("WHO #a")
    assert " ann H@+ :" in found
    assert ann.ask("WHO #a %f") == ["354 ann H@+", "315 ann #a :End of WHO list"]


# ---- WHOX ----


@pytest.mark.parametrize("fields", ["tcuihsnfdlaor", "roaldfnshiuct", "tcuihsnfdlaorXYZ9"])
def test_all_fields(relay: RunningRelay, fields: str) -> None:
    """ "Servers MUST send the fields in the order specified above", "Servers MUST NOT rely on the
    ordering of the fields" and "MUST ignore any non-standard field they don't support"."""
    _ann, bob = together(relay, "ann", "bob")
    host = relay.session("ann").host
    assert bob.ask(f"WHO ann %{fields},123") == [
        f"354 bob 123 #a ~ann 255.255.255.255 {host} {NAME} ann H@ 0 0 0 n/a :Real ann",
        "315 bob ann :End of WHO list",
    ]


def test_only_the_fields_that_were_asked_for(relay: RunningRelay) -> None:
    """ "Exactly the fields requested by the client MUST be returned by the server." "Servers MUST
    NOT send RPL_WHOREPLY replies." """
    ann, bob = relay.account("ann"), relay.join("bob")
    end = "315 bob ann :End of WHO list"
    assert bob.ask("WHO ann %na") == ["354 bob ann ann", end]
    assert bob.ask("WHO ann %tn,321") == ["354 bob 321 ann", end]
    assert bob.ask("WHO ann %r") == ["354 bob :Real ann", end]
    assert bob.ask("WHO ann %") == ["354 bob", end]
    assert bob.ask("WHO nobody %n") == ["315 bob nobody :End of WHO list"]
    assert commands(bob.ask("WHO * %n")) == ["354", "354", "315"]
    assert ann.ask("WHO bob %a") == ["354 ann 0", "315 ann bob :End of WHO list"]


@pytest.mark.parametrize("token", ["", ",", ",x", ",1234", ",-1", ",²"])
def test_bad_tokens(relay: RunningRelay, token: str) -> None:
    """ "The token MUST contain only digit characters and MUST contain at most 3 characters." """
    ann = relay.join("ann")
    assert ann.ask(f"WHO ann %tn{token}")[0] == "354 ann 0 ann"


def test_the_address_is_for_oneself_and_operators(start_relay: StartRelay) -> None:
    """ "255.255.255.255 is used for [ip] when the server refuses to disclose the IP address." """
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), relay.join("root")
    assert ann.ask("WHO ann %i")[0] == "354 ann 127.0.0.1"
    assert root.ask("WHO ann %i")[0] == "354 root 255.255.255.255"
    as_operator(root)
    assert root.ask("WHO ann %i")[0] == "354 root 127.0.0.1"


def test_the_idle_time(start_relay: StartRelay) -> None:
    """ "l: return the number of seconds the user has been idle for" """
    now = [WALL_S]
    relay = start_relay(wall_clock=lambda: now[0])
    ann = relay.join("ann")
    now[0] += 100
    assert ann.ask("WHO ann %l")[0] == "354 ann 100"


# ---- long answers ----


def test_a_huge_room(start_relay: StartRelay) -> None:
    """WHO and NAMES of thousands of people come whole, whatever may wait for one client."""
    relay = start_relay(limits={"sendq_bytes": 65_536})
    ann, bob = together(relay, "ann", "bob")
    network = relay.relay.services.network
    with relay.relay.services.lock:
        channel = network.channels["#a"]
        for number in range(1_000_000, 1_005_000):
            nick = f"u{number}"
            user = User(
                id=number,
                nick=nick,
                username="~u",
                realname="x" * 100,
                host="h",
                cloak="h",
                address="::1",
                account=None,
                connected_ms=0,
                active_ms=0,
            )
            network.users[number] = network.nicks[nick] = user  # type: ignore[index]
            channel.members[number] = Membership(user)
            user.channels["#a"] = channel
    assert len(whom(ann.ask("WHO #a"))) == 5_002
    assert len(whom(ann.ask("WHO u1*"))) == 5_000  # no host has a 1
    assert len(ann.ask("WHO #a %tn,7")) == 5_003
    names = [line for line in bob.ask("NAMES #a") if line.startswith("353")]
    assert sum(len(line.split(":", 1)[1].split(" ")) for line in names) == 5_002
