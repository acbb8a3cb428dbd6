"""What was acknowledged is kept; nobody else waits for it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import StoreBusy, StoreError
from securechat.server import session
from securechat.server.store_thread import StoreThread
from securechat.store.history import History
from tests.e2e.children import RelayProcess, run_relay
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    PASSWORD,
    Certificates,
    Client,
    FakeClock,
    RunningRelay,
    commands,
    make_certificates,
    short,
)

ECHO = ("echo-message", "standard-replies")
LABELS = ("batch", "labeled-response", "message-tags")
READING = ("batch", "draft/chathistory", "message-tags")
LOST = "This was sent, but could not be kept in the history"


class StuckStore:
    """Keeps the store thread of a relay waiting. Made and used by the test's thread."""

    def __init__(self, relay: RunningRelay) -> None:
        self._go_on = threading.Event()
        self.stuck = threading.Event()
        relay.relay.services.history.flush()
        relay.relay._store.submit(self._wait, lambda outcome: None)
        assert self.stuck.wait(LONG_TIMEOUT_S)

    def _wait(self, connection: object) -> None:
        self.stuck.set()
        assert self._go_on.wait(LONG_TIMEOUT_S)

    def go_on(self) -> None:
        self._go_on.set()


@contextlib.contextmanager
def stuck_store(relay: RunningRelay) -> Iterator[StuckStore]:
    store = StuckStore(relay)
    try:
        yield store
    finally:
        store.go_on()


def together(relay: RunningRelay, *people: tuple[str, ...]) -> list[Client]:
    clients = [relay.join(nick, *caps) for nick, *caps in people]
    for client in clients:
        client.ask("JOIN #a")
    for client in clients:
        client.sync()
    return clients


def nothing_comes(relay: RunningRelay, client: Client, nick: str) -> bool:
    """Whether the relay, which has done all that the client sent, has sent nothing to it."""
    relay.run_on(relay.session(nick), lambda: None)
    client.sock.settimeout(0.05)
    try:
        return client.sock.recv(1) == b""
    except TimeoutError:
        return True
    finally:
        client.sock.settimeout(LONG_TIMEOUT_S)


# ---- who waits ----


def test_others_do_not_wait_for_the_store(relay: RunningRelay) -> None:
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    with stuck_store(relay) as store:
        ann.send(*(f"PRIVMSG #a :{n}" for n in range(5)))
        for n in range(5):
            assert short(bob.read()) == f":ann PRIVMSG #a {n}"
        assert nothing_comes(relay, ann, "ann")
        bob.send("PRIVMSG #a :hello")
        # What others say passes; who asks for no echo waits for nothing.
        assert short(ann.read()) == ":bob PRIVMSG #a hello"
        assert bob.seen() == []
        store.go_on()
    assert [short(ann.read()) for _ in range(5)] == [f":ann PRIVMSG #a {n}" for n in range(5)]


def test_nobody_waits_in_a_room_that_keeps_nothing(relay: RunningRelay) -> None:
    ann = relay.account("ann", *ECHO)
    ann.ask("JOIN #a", "ROOM HISTORY #a off")
    with stuck_store(relay):
        assert ann.ask("PRIVMSG #a :1", "PRIVMSG #a :2")[0] == ":ann PRIVMSG #a 1"


def test_answers_keep_their_order(relay: RunningRelay) -> None:
    ann, bob = together(relay, ("ann", *ECHO, *LABELS), ("bob",))
    with stuck_store(relay) as store:
        ann.send(
            "PRIVMSG #a :1", "PING x", "@label=l PRIVMSG #a :2", "PRIVMSG #none :3", "NOTICE #a :4"
        )
        ann.send("TOPIC #a", "PRIVMSG #a :5", "TOPIC #a :new")
        assert [short(bob.read()) for _ in range(3)] == [
            ":ann PRIVMSG #a 1",
            ":ann PRIVMSG #a 2",
            ":ann NOTICE #a 4",
        ]
        # What is no message waits until all is acknowledged, and so does what comes after it.
        assert nothing_comes(relay, bob, "bob")
        store.go_on()
    assert ann.seen() == [
        ":ann PRIVMSG #a 1",
        "PONG relay.test x",
        ":ann PRIVMSG #a 2",
        "403 ann #none :No such channel",
        ":ann NOTICE #a 4",
        "331 ann #a :No topic is set",
        ":ann PRIVMSG #a 5",
        ":ann TOPIC #a new",
    ]


def test_a_labelled_acknowledgement_waits(relay: RunningRelay) -> None:
    ann, bob = together(relay, ("ann", *LABELS), ("bob",))
    with stuck_store(relay) as store:
        ann.send("PRIVMSG #a :unlabelled")
        assert short(bob.read()) == ":ann PRIVMSG #a unlabelled"
        assert ann.seen() == []
        ann.send("@label=x PRIVMSG #a :labelled")
        assert short(bob.read()) == ":ann PRIVMSG #a labelled"
        assert nothing_comes(relay, ann, "ann")
        store.go_on()
    (answer,) = ann.sync()
    assert (answer.command, answer.tags) == ("ACK", {"label": "x"})


def test_what_is_not_kept_is_not_waited_for(relay: RunningRelay) -> None:
    """Messages between guests, and those that only say that somebody types."""
    ann, _ = together(relay, ("ann", *ECHO, *LABELS), ("bob",))
    with stuck_store(relay):
        assert ann.ask("PRIVMSG bob :x", "@+typing=active TAGMSG #a") == [
            ":ann PRIVMSG bob x",
            ":ann TAGMSG #a",
        ]


def test_the_input_waits_when_too_much_waits(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "UNSTORED_ANSWERS", 3)
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    with stuck_store(relay) as store:
        ann.send(*(f"PRIVMSG #a :{n}" for n in range(9)))
        assert [short(bob.read()) for _ in range(3)] == [f":ann PRIVMSG #a {n}" for n in range(3)]
        assert nothing_comes(relay, bob, "bob")
        store.go_on()
    assert ann.seen() == [f":ann PRIVMSG #a {n}" for n in range(9)]


def have_waited(relay: RunningRelay, clock: FakeClock, nick: str) -> None:
    clock.now += session.STORE_PATIENCE_S
    for _ in range(2):  # the timer runs at the end of a turn
        relay.run_on(relay.session(nick), lambda: None)


def test_after_a_while_only_acknowledgements_wait(
    start_relay: StartRelay, clock: FakeClock
) -> None:
    relay = start_relay(clock=clock)
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    with stuck_store(relay) as store:
        ann.send("PRIVMSG #a :1", "PING x", "TOPIC #a :new", "PING y")
        assert short(bob.read()) == ":ann PRIVMSG #a 1"
        assert nothing_comes(relay, ann, "ann")
        have_waited(relay, clock, "ann")
        assert [short(ann.read()) for _ in range(3)] == [
            "PONG relay.test x",
            ":ann TOPIC #a new",
            "PONG relay.test y",
        ]
        ann.send("PRIVMSG #a :2")
        assert ann.ask("TOPIC #a :newer") == [":ann TOPIC #a newer"]  # from now on at once
        store.go_on()
    assert [short(ann.read()) for _ in range(2)] == [f":ann PRIVMSG #a {n}" for n in (1, 2)]
    with stuck_store(relay) as store:
        ann.send("PRIVMSG #a :3", "PING z")
        heard = [short(bob.read()) for _ in range(4)]  # a topic, 2, a topic, and this
        assert heard[-1] == ":ann PRIVMSG #a 3"
        assert nothing_comes(relay, ann, "ann")
        store.go_on()
    assert ann.seen() == [":ann PRIVMSG #a 3", "PONG relay.test z"]


def test_when_acknowledgements_are_late_and_too_many_nothing_more_is_said(
    start_relay: StartRelay, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "UNSTORED_ANSWERS", 3)
    relay = start_relay(clock=clock)
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    with stuck_store(relay) as store:
        ann.send(*(f"PRIVMSG #a :{n}" for n in range(4)))
        assert [short(bob.read()) for _ in range(3)] == [f":ann PRIVMSG #a {n}" for n in range(3)]
        have_waited(relay, clock, "ann")
        (refusal,) = ann.ask()
        assert refusal.startswith("FAIL PRIVMSG TEMPORARILY_UNAVAILABLE #a ")
        assert bob.seen() == []
        store.go_on()
    assert [short(ann.read()) for _ in range(3)] == [f":ann PRIVMSG #a {n}" for n in range(3)]
    assert ann.ask("PRIVMSG #a :again") == [":ann PRIVMSG #a again"]


def test_who_waits_may_leave(relay: RunningRelay) -> None:
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    with stuck_store(relay):
        ann.send("PRIVMSG #a :1")
        assert short(bob.read()) == ":ann PRIVMSG #a 1"
        ann.vanish()
        assert commands([short(bob.read())]) == ["QUIT"]
    assert bob.ask("PRIVMSG #a :2") == []


def test_what_nobody_waits_for_waits_a_little_for_more(
    start_relay: StartRelay, clock: FakeClock
) -> None:
    relay = start_relay(clock=clock)
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    keeper = relay.relay.services.history
    ann.ask("PRIVMSG #a :all that came before is written")
    bob.ask("PRIVMSG #a :1", "PRIVMSG #a :2")
    assert len(keeper._items) == 2
    clock.now += 1
    for nick in ("ann", "bob") * 2:  # the timer is either's, and runs at the end of a turn
        relay.run_on(relay.session(nick), lambda: None)
    relay.relay._store.call(lambda connection: None)
    assert keeper._items == []
    bob.ask("PRIVMSG #a :3")
    assert len(keeper._items) == 1
    ann.ask("PRIVMSG #a :4")
    assert keeper._items == []


def test_what_waits_is_written_when_the_relay_stops(
    start_relay: StartRelay, clock: FakeClock
) -> None:
    relay = start_relay(clock=clock)
    relay.account("ann").ask("PRIVMSG ann :kept")
    relay.stop()
    ann = start_relay().login("ann", *READING)
    assert any("PRIVMSG ann kept" in line for line in ann.ask("CHATHISTORY LATEST ann * 9"))


def test_the_relay_stops_while_somebody_waits(start_relay: StartRelay) -> None:
    """Nothing is acknowledged any more, but what was said is kept."""
    relay = start_relay()
    ann, bob = relay.account("ann", *ECHO), relay.account("bob")
    with stuck_store(relay) as store:
        ann.send("PRIVMSG bob :the last words")
        assert short(bob.read()) == ":ann PRIVMSG bob :the last words"
        relay._stopped = True
        stopping = threading.Thread(target=relay.relay.stop, args=("good night",))
        stopping.start()
        for client in (ann, bob):
            assert client.read_to_end() == ["ERROR :Closing link: good night"]
            client.sock.close()
        store.go_on()
        stopping.join(LONG_TIMEOUT_S)
    assert relay.relay.crash is None
    ann = start_relay().login("ann", *READING)
    said = ann.ask("CHATHISTORY LATEST bob * 9")
    assert any(line.endswith("PRIVMSG bob :the last words") for line in said)


def test_what_the_store_does_not_take_waits(
    start_relay: StartRelay,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay = start_relay(clock=clock)
    relay.may_log_errors = True
    (ann,) = together(relay, ("ann",))
    relay.relay.services.history.flush()
    relay.relay._store.call(lambda connection: None)
    ann.ask("PRIVMSG #a :1")

    def busy(*args: Any) -> None:
        raise StoreBusy("the queue is full")

    with monkeypatch.context() as patch:
        patch.setattr(relay.relay._store, "submit", busy)
        relay.relay.services.history.flush()
    assert "1 entries of the history must wait: the queue is full" in caplog.text
    relay.relay.services.event_log.keep_again()
    ann.request(*READING)
    assert ":ann PRIVMSG #a 1" in ann.ask("CHATHISTORY LATEST #a * 9")


# ---- when it cannot be kept ----


def test_a_message_that_is_lost(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told instead of the echo."""
    relay.may_log_errors = True
    ann, bob, carl = together(
        relay, ("ann", *ECHO, *LABELS), ("bob", *LABELS), ("carl", "echo-message")
    )

    def fail(*args: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(History, "add", fail)
        assert ann.ask("PRIVMSG #a :lost", "PING x") == [
            f"FAIL PRIVMSG NOT_KEPT :{LOST}",
            "PONG relay.test x",
        ]
        bob.sync()
        (notice,) = bob.collect("@label=l NOTICE #a :lost")
        assert short(notice) == f"NOTICE bob :NOTICE: {LOST}"
        assert notice.tags == {"label": "l"}
        carl.sync()
        assert carl.ask("PRIVMSG #a :lost") == [f"NOTICE carl :PRIVMSG: {LOST}"]
    ann.sync()
    assert ann.ask("PRIVMSG #a :kept") == [":ann PRIVMSG #a kept"]
    ann.request(*READING)
    assert [line for line in ann.ask("CHATHISTORY LATEST #a * 9") if "PRIVMSG" in line] == [
        ":ann PRIVMSG #a kept"
    ]


def test_a_transaction_that_fails(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the store, everybody who waits is told, and it goes on after."""
    relay.may_log_errors = True
    ann, _ = together(relay, ("ann", *ECHO), ("bob",))
    assert ann.ask("PRIVMSG #a :first") == [":ann PRIVMSG #a first"]  # and the joins are kept

    def fail(*args: Any) -> None:
        raise OSError("no transaction today")

    with monkeypatch.context() as patch:
        patch.setattr(StoreThread, "_commit", fail)
        patch.setattr(StoreThread, "_attempt", fail)
        assert ann.ask("PRIVMSG #a :lost") == [f"FAIL PRIVMSG NOT_KEPT :{LOST}"]
    assert ann.ask("PRIVMSG #a :kept") == [":ann PRIVMSG #a kept"]
    assert relay.relay.services.history.lost == 1


def test_what_finds_it_full_is_counted(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    relay.may_log_errors = True
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    history = relay.relay.services.history
    history.flush()
    with monkeypatch.context() as patch:
        patch.setattr(history, "_limit", 0)
        bob.ask("PART #a", "JOIN #a")
    assert ann.ask("PRIVMSG #a :kept") == [":bob PART #a", ":bob JOIN #a", ":ann PRIVMSG #a kept"]
    assert ann.ask("PRIVMSG #a :too") == [":ann PRIVMSG #a too"]
    assert history.lost == 2
    told = [text for text in caplog.messages if "the history is" in text]
    assert told == [
        "the history is not kept for now: too much waits for the store",
        "the history is kept again; entries that were lost: 2",
    ]


def test_a_full_store_refuses(relay: RunningRelay) -> None:
    ann, bob = together(relay, ("ann", *ECHO), ("bob",))
    keeper = relay.relay.services.history
    with stuck_store(relay) as store:
        keeper._limit = 2
        ann.send("PRIVMSG #a :1", "PRIVMSG #a :2", "PRIVMSG #a :3")
        assert [short(bob.read()) for _ in range(2)] == [":ann PRIVMSG #a 1", ":ann PRIVMSG #a 2"]
        text = "Messages cannot be kept in the history at the moment; try again"
        assert bob.ask("PRIVMSG #a :4") == [f"FAIL PRIVMSG TEMPORARILY_UNAVAILABLE #a :{text}"]
        store.go_on()
    assert commands(ann.seen()) == ["PRIVMSG", "PRIVMSG", "FAIL"]
    assert ann.ask("PRIVMSG #a :5") == [":ann PRIVMSG #a 5"]


def test_a_busy_store_is_asked_again(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, _ = together(relay, ("ann", *ECHO), ("bob",))
    store = relay.relay._store
    submit, refused = store.submit, []

    def busy(*args: Any) -> None:
        if not refused:
            refused.append(args)
            raise StoreBusy("the queue is full")
        submit(*args)

    ann.ask("PRIVMSG #a :0")  # nothing is on its way any more
    monkeypatch.setattr(store, "submit", busy)
    assert ann.ask("PRIVMSG #a :1") == [":ann PRIVMSG #a 1"]
    assert refused


# ---- the promise ----


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = make_certificates(tmp_path_factory.mktemp("keeper-certificates"))
    made.server_file.with_name("server-key.pem").symlink_to(made.server_file)
    return made


def connect(relay: RelayProcess, certificates: Certificates) -> Client:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    sock = socket.create_connection(("127.0.0.1", relay.port), timeout=LONG_TIMEOUT_S)
    return Client(context.wrap_socket(sock, server_hostname="localhost"))


CONFIG = """
[accounts]
argon2_memory_kib = 8192
argon2_iterations = 1
[limits]
commands_per_s = 0
"""


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, certificates: Certificates) -> None:
    """ "a message whose echo or labelled reply the sender has received is in the history, even if
    the relay is killed the next instant" """
    data = tmp_path / "data"
    config = tmp_path / "relay.toml"
    config.write_text(CONFIG)
    acknowledged: list[str] = []
    for life in range(8):
        with run_relay(certificates.ca_file, data, "--config", str(config)) as relay:
            ann = connect(relay, certificates)
            ann.request("sasl", "draft/account-registration", "draft/chathistory", *ECHO, *LABELS)
            if life == 0:
                ann.send("NICK ann", f"REGISTER * * :{PASSWORD}")
                ann.expect("REGISTER", "SUCCESS")
            else:
                assert "903" in commands(ann.authenticate_plain("ann"))
            ann.register("ann")
            kept = [
                message.params[1]
                for message in ann.collect("CHATHISTORY LATEST ann * 100")
                if message.command == "PRIVMSG"
            ]
            assert set(acknowledged) <= set(kept)
            texts = [f"{life}.{n}" for n in range(10)]
            ann.send(*(f"@label={text} PRIVMSG ann :{text}" for text in texts))
            for _ in range(life + 1):  # others are on their way: they may be lost or not
                while "label" not in (message := ann.read()).tags:
                    pass  # the message itself, which needs no commit
                acknowledged.append(message.params[1])
            relay.process.kill()
            relay.process.wait()
            ann.sock.close()
    assert len(acknowledged) == sum(range(1, 9))
