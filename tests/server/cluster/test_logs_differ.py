"""NATS gives relays different logs: they do not go on as if they were one chat."""

from __future__ import annotations

from securechat.server.cluster.log import LogsDiffer, Mark
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of, state_of
from tests.server.relay_harness import RunningRelay
from tests.server.waiting import TIMEOUT_S, until


def mislead(relay: RunningRelay) -> None:
    """Have a relay believe that it has heard something else."""
    services = relay.relay.services
    with services.lock:
        services.network.log_hash ^= 1


def test_equal_logs_have_equal_marks(relays: Relays) -> None:
    a, b = relays.start("a"), relays.start("b")
    a.join("alice").ask("JOIN #room", "PRIVMSG #room :only a hears this")
    relays.settle()
    mark = log_of(a).mark
    assert mark == log_of(b).mark
    assert mark.log_hash != 0
    assert not log_of(a).contradicts(mark)
    assert log_of(a).contradicts(mark._replace(log_hash=mark.log_hash ^ 1))
    assert not log_of(a).contradicts(Mark(mark.event + 1, 0)), "it is not known yet"
    c = relays.start("c")  # which has them from the snapshot, and the stream
    relays.settle()
    assert log_of(c).mark == log_of(a).mark


def test_who_has_heard_something_else_than_the_keeper_ends_and_starts_again(
    relays: Relays,
) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice = a.join("alice")
    until(lambda: cluster_of(a).state.is_keeper, "a does not become the keeper")
    mislead(b)
    alice.ask("JOIN #room")
    assert b._crashed.wait(TIMEOUT_S), "it goes on"
    assert isinstance(b.relay.crash, LogsDiffer)
    assert "NATS has told this relay other events than a" in str(b.relay.crash)
    b.relay.crash = None
    relays.stop("b")
    until(lambda: cluster_of(a).members.strays == 1, "the keeper does not notice")
    alice.ask("TOPIC #room :what b starts from")
    until(lambda: cluster_of(a).snapshot[0] > 0, "there is no snapshot to start from")
    b = relays.start("b")
    relays.settle()
    assert state_of(b) == state_of(a)
    assert a.relay.crash is None
