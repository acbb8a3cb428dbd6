"""The stream of events on NATS JetStream: one thread with nats-py and its event loop.

Nothing but this module knows NATS, or asyncio, which nats-py is written for: the rest of the relay
gives it bytes from any thread, and is called with bytes.

What is published has an id of its own and is published again until it has come back by the stream:
JetStream drops what it has by that id. It is only published again when all that the stream has was
received; so it is never there twice, however long NATS was away. It is received by an *ordered*
consumer: without acknowledgements, made anew after the last event received whenever a gap, or too
long a silence, shows that something was missed. Every server keeps it in memory only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from securechat.errors import ConfigError, NetworkError
from securechat.net.locks import make_lock
from securechat.net.threads import Thread, start_thread
from securechat.server.cluster.nats_values import (
    EVENT_BYTES,
    Inspection,
    Link,
    Received,
    StreamCut,
    StreamInfo,
    StreamSize,
    connect_options,
    places_in,
    stream_info,
)
from securechat.server.config import ClusterConfig

try:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import Error as NatsError
    from nats.js import JetStreamContext, api
    from nats.js.errors import BadRequestError, NotFoundError
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True

__all__ = ["NatsStream"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_S: Final = 10.0
"""How long the first connection may take, in seconds: then it is no use to begin."""

_LEADER_S: Final = 30.0
"""How long servers may take to choose a leader before one begins, in seconds: up to 9 were seen."""

_TRY_S: Final = 2.0
"""After how long they are asked again, in seconds: what was asked when there was none is lost."""

_ASK_S: Final = 5.0
"""How long a server may take to answer a question about the stream, in seconds."""

_RECONNECT_S: Final = 0.25
"""Between two attempts to connect to the servers in turn, in seconds."""

_PING_S: Final = 2
"""How often a server is asked for a sign of life, in seconds; after two without one the next is
tried."""

_HEARTBEAT_S: Final = 1.0
"""How often the stream is to show that it has nothing new, in seconds."""

_SILENCE_S: Final = 2.5
"""After how many seconds without one the consumer is made anew."""

_TICK_S: Final = 0.25
"""How often it is looked whether anything is overdue, in seconds."""

_AGAIN_S: Final = 2.0
"""After how many seconds what has not come back is published again."""

_CUT_OFF_S: Final = 4.0
"""Without a word of the stream, or with something published that does not come back, for so many
seconds, the relay is cut off from the others."""

_PART: Final = 64
"""Events that are handed over at once: the receiver holds the network lock for some 100 µs each."""

_DUPLICATES_S: Final = 600.0
"""For how long JetStream knows an id again, in seconds."""

_HEADER_BYTES: Final = 256
"""What NATS counts besides: the id. What it does not take is not refused, but never comes back, and
all after it would wait."""

_INACTIVE_S: Final = 30.0
"""When a server forgets a consumer that nobody listens to, in seconds."""


class _Loop(asyncio.SelectorEventLoop):
    """An event loop of one client, which has one connection at a time: it can be given up.

    Before nats-py tries another server it waits until the connection is closed. A server that does
    not answer makes that half a minute with TLS, and without TLS as long as something is unsent.
    Attempts in which a server said nothing are never closed by it at all.
    """

    connection: asyncio.Transport | None = None
    """The last one that was made."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        made, protocol = await super().create_connection(*args, **options)
        self.give_up(self.connection)
        self.connection = made
        return made, protocol

    @staticmethod
    def give_up(connection: asyncio.Transport | None) -> None:
        """Close a connection at once, if it is not closed."""
        if connection is not None:
            connection.abort()


@dataclass(slots=True)
class _Outgoing:
    subject: str
    id: str
    data: bytes
    since: float
    sent: float = field(default=0.0)


class NatsStream:
    """A stream on NATS. Safe from any thread, but for its callbacks, which are called on its own.

    The constructor connects, and makes the stream if there is none; blocks.

    :param make: without it no stream is made, and all that can be done is to ``inspect``.
    :param on_crash: called with what keeps the thread from going on.
    :raises ConfigError: nats-py is not installed, or a file of the configuration cannot be used.
    :raises NetworkError: no server answers, or none takes us.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        on_crash: Callable[[BaseException], None],
        make: bool = True,
    ) -> None:
        if not _INSTALLED:
            raise ConfigError(['[cluster] nats: needs pip install "securechat[cluster]"'])
        self._config = config
        self._options = connect_options(config)
        self._name = config.stream
        self._make = make
        self._on_events: Callable[[Sequence[Received]], None]
        self._on_complete: Callable[[], None]
        self._on_link: Callable[[Link], None] = lambda link: None
        self._on_beat: Callable[[bytes], None] = lambda data: None
        self._on_tick: Callable[[], None] = lambda: None
        self._lock = make_lock("stream", tier=1)  # guards the next two
        self._new: deque[_Outgoing] = deque()
        self._woken = False
        self._outgoing: dict[str, _Outgoing] = {}  # this and what follows: of the thread
        self._received: list[Received] = []
        self._client: Client
        self._stream: JetStreamContext
        self._subject = ""  # what is followed; empty: nothing yet
        self._next = 0
        self._passed = 0  # the last event that the consumer has looked at, for this relay or not
        self._generation = 0
        self._subscription: Any = None
        self._consumer = ""
        self._delivered = 0
        self._heard = 0.0
        self._connected = 0.0  # anew, when; perhaps because a leader was lost
        self._complete = False  # all that the stream has was received
        self._incomplete_since = 0.0
        self._doubtful = True  # what is published now could overtake what was lost on its way
        self._cut_off = False
        self._stopping = False
        self._failure: BaseException | None = None  # that ends the thread
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._loop = _Loop()
        self._connection: asyncio.Transport | None = None  # that is used, not one in the making
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread: Thread = start_thread("nats", self._run, on_crash=on_crash)
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def serve(
        self,
        on_events: Callable[[Sequence[Received]], None],
        on_complete: Callable[[], None],
        on_link: Callable[[Link], None],
        on_beat: Callable[[bytes], None],
        on_tick: Callable[[], None],
    ) -> None:
        """Be told what comes; to be called once, before ``follow``.

        :param on_events: called with events in the order of the stream.
        :param on_complete: called when there is none that was not received, again and again.
        :param on_link: called when the stream ceases to answer, and when it does again.
        :param on_beat: called with what other relays say of themselves (``beat``).
        :param on_tick: called some times a second as long as the thread is alive and well.
        """
        self._on_events, self._on_complete = on_events, on_complete
        self._on_link, self._on_beat, self._on_tick = on_link, on_beat, on_tick

    # ---- safe from any thread ----

    def info(self, *, insist: bool = False) -> StreamInfo:
        """Return what the stream is. Blocks. Raises ``NetworkError``.

        :param insist: whether to wait for the servers to choose a leader, if they must.
        """
        if insist:
            return self._ask(self._insist(self._info), _LEADER_S + _ASK_S)
        return self._ask(self._info())

    def inspect(self) -> Inspection:
        """Return how servers and stream are. Blocks. Raises ``NetworkError``."""
        return self._ask(self._inspect())

    def follow(self, subject: str, after: int) -> None:
        """Receive the events whose subject ``subject`` covers, those after number ``after``.

        In place of those that were received before. On the stream's own thread nothing of the
        former ones is received after this.
        """

        def begin() -> None:
            self._subject, self._next = subject, after + 1
            self._received.clear()
            self._begin_following()

        if threading.current_thread() is self._thread:
            begin()
        else:
            self._call(begin)

    def publish(self, subject: str, id: str, data: bytes) -> None:  # noqa: A002
        """Put an event into the stream; it comes back by ``on_events``. Never blocks.

        It must be among what is followed, or it would be published for ever.
        """
        with self._lock:
            self._new.append(_Outgoing(subject, id, data, self._loop.time()))
            wake, self._woken = not self._woken, True
        if wake:
            self._call(self._take_new)

    def give_up(self, ids: Sequence[str]) -> None:
        """Publish these not again."""
        self._call(lambda: [self._outgoing.pop(id, None) for id in ids])  # noqa: A001

    def beat(self, data: bytes) -> None:
        """Tell the other relays something that need not arrive. Never blocks."""
        self._call(lambda: self._begin(self._beat(data)))

    def purge(self, before: int) -> None:
        """Take the events before a number out of the stream. Blocks. Raises ``NetworkError``."""
        self._ask(self._purge(before))

    @property
    def works(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Publish what waits, disconnect, and end the thread. Blocks."""
        self._call(self._stop_soon)
        self._thread.join()

    # ---- the thread ----

    def _call(self, work: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(work)

    def _ask(self, question: Awaitable[T], timeout_s: float = _ASK_S) -> T:
        async def answer() -> T:
            return await asyncio.wait_for(question, timeout_s)

        try:
            asked = asyncio.run_coroutine_threadsafe(answer(), self._loop)
            return asked.result(timeout_s + _ASK_S)
        except (NatsError, OSError, TimeoutError) as error:
            raise NetworkError("NATS: {error}", error=_words(error)) from error

    def _run(self) -> None:
        # It complains of each connection of nats-py that ends, and of nothing else here.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work())

    async def _work(self) -> None:
        try:
            await self._connect()
        except (NatsError, NetworkError, OSError, TimeoutError) as error:
            servers = " ".join(self._config.nats)
            self._error = NetworkError(
                "cannot use NATS at {servers}: {error}", servers=servers, error=_words(error)
            )
            await self._disconnect()
            return
        finally:
            self._ready.set()
        try:
            while not self._stopping:
                await asyncio.sleep(_TICK_S)
                self._look()
                self._on_tick()
                if self._failure is not None:
                    raise self._failure
            await self._flush()
        finally:
            await self._disconnect()

    async def _connect(self) -> None:
        self._client = Client()
        await asyncio.wait_for(
            self._client.connect(
                servers=list(self._config.nats),
                name=f"securechat {self._config.relay}",
                error_cb=_ignore,
                reconnected_cb=self._reconnected,
                disconnected_cb=self._disconnected,
                connect_timeout=_PING_S,
                reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type]  # it only sleeps so long
                max_reconnect_attempts=-1,
                ping_interval=_PING_S,
                **self._options,
            ),
            CONNECT_S,
        )
        if self._client.max_payload < EVENT_BYTES + _HEADER_BYTES:
            least = EVENT_BYTES + _HEADER_BYTES
            raise NetworkError("its max_payload must be {least} bytes at least", least=least)
        self._stream = self._client.jetstream(timeout=_ASK_S)
        if self._make:
            await self._make_stream()
        await self._client.subscribe(f"{self._name}-beat", cb=self._take_beat)
        self._heard = self._loop.time()

    async def _disconnect(self) -> None:
        # CancelledError: what is closed was being waited for by an attempt to connect again, which
        # nats-py cancels, and with it what both wait for.
        with contextlib.suppress(NatsError, OSError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._client.close(), _PING_S)
        self._loop.give_up(self._loop.connection)
        await asyncio.sleep(0)  # in which it is closed

    async def _make_stream(self) -> None:
        replicas = min(self._config.replicas, max(1, len(self._config.nats)))
        wanted = api.StreamConfig(
            name=self._name,
            subjects=[f"{self._name}.>"],
            storage=api.StorageType.FILE,
            retention=api.RetentionPolicy.LIMITS,
            discard=api.DiscardPolicy.NEW,  # what has no snapshot yet is never dropped
            max_bytes=self._config.stream_mib * 1024 * 1024,
            max_msg_size=EVENT_BYTES + _HEADER_BYTES,
            num_replicas=replicas,
            duplicate_window=_DUPLICATES_S,
        )
        await self._insist(lambda: self._find_or_make_stream(wanted))

    async def _insist(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer: for ``_LEADER_S``."""
        deadline = self._loop.time() + _LEADER_S
        while True:
            try:
                return await asyncio.wait_for(question(), _TRY_S)
            except (NatsError, TimeoutError):
                if self._loop.time() > deadline:
                    raise
                await asyncio.sleep(_TICK_S)

    async def _find_or_make_stream(self, wanted: api.StreamConfig) -> None:
        try:
            await self._stream.stream_info(self._name)
        except NotFoundError:
            with contextlib.suppress(BadRequestError):  # another relay was faster
                await self._stream.add_stream(wanted)
            await self._stream.stream_info(self._name)

    async def _info(self) -> StreamInfo:
        raw = await self._client.request(f"$JS.API.STREAM.INFO.{self._name}", b"", timeout=_ASK_S)
        return stream_info(raw.data)

    async def _inspect(self) -> Inspection:
        there = self._client.connected_server_version
        version = f"{there.major}.{there.minor}.{there.patch}"
        began = self._loop.time()
        await self._client.flush()
        answer_s = self._loop.time() - began
        try:
            state = await self._stream.stream_info(self._name)
        except NotFoundError:
            return Inspection(version, answer_s, jetstream=True)
        except (NatsError, TimeoutError) as error:
            _log.debug("NATS: %s", _words(error))
            return Inspection(version, answer_s, jetstream=False)
        others = state.cluster.replicas or [] if state.cluster is not None else []
        size = StreamSize(
            state.state.bytes,
            state.config.max_bytes or 0,
            state.config.num_replicas or 1,
            sum(1 for each in others if each.offline or not each.current),
        )
        return Inspection(version, answer_s, True, size, await self._ahead_s())

    async def _ahead_s(self) -> float:
        """Return by how much the clock of NATS is ahead: it says when a consumer was made."""
        wanted = api.ConsumerConfig(
            ack_policy=api.AckPolicy.EXPLICIT,
            deliver_policy=api.DeliverPolicy.NEW,
            inactive_threshold=_INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
        )
        began_s = time.time()
        made = await self._stream.add_consumer(self._name, wanted)
        middle_s = (began_s + time.time()) / 2
        await self._stream.delete_consumer(self._name, made.name)
        if made.created is None:
            return 0.0
        return made.created.timestamp() - middle_s

    async def _purge(self, before: int) -> None:
        await self._stream.purge_stream(self._name, seq=before)

    async def _beat(self, data: bytes) -> None:
        if self._client.is_connected:
            await self._client.publish(f"{self._name}-beat", data)

    async def _take_beat(self, message: Msg) -> None:
        self._on_beat(message.data)

    async def _disconnected(self) -> None:
        self._doubtful = True
        if not self._stopping:
            _log.warning("NATS: the connection is lost")

    async def _reconnected(self) -> None:
        url = self._client.connected_url
        _log.info("NATS: connected to %s", url.netloc.rpartition("@")[2] if url is not None else "")
        self._connected = self._loop.time()
        self._begin_following()

    def _begin(self, work: Any) -> None:
        """Begin ``work`` beside all else. If NATS is not there for it, it is done no more."""

        async def attempt() -> None:
            try:
                await work
            except (NatsError, NetworkError, OSError, TimeoutError) as error:
                _log.debug("NATS: %s", _words(error))
            except Exception as error:  # noqa: BLE001 - it ends the thread, where it can be seen
                self._failure = error

        task = self._loop.create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- receiving ----

    def _begin_following(self) -> None:
        if not self._subject or not self._client.is_connected:
            return
        self._generation += 1
        self._doubtful = True
        now = self._loop.time()
        self._heard = now + 2 * _ASK_S  # as long as that it may take
        if self._complete or not self._incomplete_since:
            self._complete, self._incomplete_since = False, now
        self._begin(self._follow(self._generation))

    async def _follow(self, generation: int) -> None:
        """Receive anew from where the last consumer ended; soon again if that is not possible."""
        choosing = self._loop.time() - self._connected < _LEADER_S
        try:
            await asyncio.wait_for(self._make_consumer(generation), _TRY_S if choosing else _ASK_S)
        except (NatsError, NetworkError, OSError, TimeoutError):
            if generation == self._generation:
                self._heard = self._loop.time() - _SILENCE_S
            raise

    async def _make_consumer(self, generation: int) -> None:
        former, consumer, client = self._subscription, self._consumer, self._client
        self._subscription, self._consumer = None, ""
        if former is not None:
            with contextlib.suppress(NatsError):
                await former.unsubscribe()
        inbox = client.new_inbox()

        async def take(message: Msg) -> None:
            if generation == self._generation:
                await self._take(message)

        subscription = await client.subscribe(
            inbox, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        if generation != self._generation:
            await subscription.unsubscribe()
            return
        self._subscription, self._delivered = subscription, 0
        start = self._next  # which moves on with what comes meanwhile
        wanted = api.ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            ack_policy=api.AckPolicy.NONE,
            filter_subject=self._subject,
            idle_heartbeat=_HEARTBEAT_S,
            flow_control=True,
            inactive_threshold=_INACTIVE_S,
            max_deliver=1,
            mem_storage=True,
            num_replicas=1,
        )
        made = await self._stream.add_consumer(self._name, wanted)
        state = await self._info()
        if generation != self._generation:
            return
        self._consumer = made.name
        if state.first > max(start, self._passed + 1) or state.last < start - 1:
            raise StreamCut(
                "the stream {name} has the events {first} to {last}, and {next} is the next one "
                "here: if the relay was away for long, start it again",
                name=self._name,
                first=state.first,
                last=state.last,
                next=start,
            )
        if not made.num_pending and not self._delivered:
            self._be_complete()
        if consumer:
            with contextlib.suppress(NatsError, TimeoutError):
                await self._stream.delete_consumer(self._name, consumer)

    async def _take(self, message: Msg) -> None:
        self._heard = self._loop.time()
        headers = message.headers or {}
        if "Status" in headers:
            await self._take_status(message, headers)
            return
        sequence, delivered, at_ns, pending = places_in(message.reply)
        if delivered != self._delivered + 1:
            self._begin_following()
            return
        self._delivered, self._next = delivered, sequence + 1
        published = headers.get("Nats-Msg-Id", "")
        self._outgoing.pop(published, None)
        first = not self._received
        self._received.append(Received(sequence, at_ns, message.subject, published, message.data))
        if not pending:
            self._complete = True
        if first:
            self._loop.call_soon(self._hand_over)

    async def _take_status(self, message: Msg, headers: Any) -> None:
        stalled = headers.get("Nats-Consumer-Stalled")
        if message.reply:
            await self._client.publish(message.reply)
        elif stalled:
            await self._client.publish(stalled)
        last = headers.get("Nats-Last-Consumer")
        if last is None:
            return
        if int(last) != self._delivered:
            self._begin_following()
            return
        # Up to there nothing more is for this relay, and may be taken out of the stream.
        self._passed = max(self._passed, int(headers.get("Nats-Last-Stream", 0)))
        if not self._complete:
            self._be_complete()

    def _be_complete(self) -> None:
        self._complete = True
        if not self._received:
            self._hand_over()

    def _hand_over(self) -> None:
        received, self._received = self._received, []
        generation = self._generation
        try:
            for start in range(0, len(received), _PART):
                self._on_events(received[start : start + _PART])
                if generation != self._generation:
                    return
            if self._complete:
                self._on_complete()
                self._look()  # what waits for that need not wait longer
        except Exception as error:  # noqa: BLE001 - it ends the thread, where it can be seen
            self._failure = error

    # ---- publishing ----

    def _take_new(self) -> None:
        with self._lock:
            new, self._new, self._woken = self._new, deque(), False
        for each in new:
            self._outgoing[each.id] = each
        if not self._doubtful:
            self._begin(self._send(list(new)))

    async def _send(self, some: Sequence[_Outgoing]) -> None:
        async with self._sending:  # one after the other: nobody is overtaken
            for each in some:
                each.sent = self._loop.time()
                headers = {"Nats-Msg-Id": each.id}
                await self._client.publish(each.subject, each.data, headers=headers)

    async def _flush(self) -> None:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            self._take_new()
            await asyncio.wait_for(self._client.flush(), _PING_S)

    def _stop_soon(self) -> None:
        self._stopping = True

    # ---- looking after it all ----

    def _look(self) -> None:
        now = self._loop.time()
        if self._client.is_connected:
            self._connection = self._loop.connection
        else:
            self._loop.give_up(self._connection)
        if self._subject and self._client.is_connected and now - self._heard > _SILENCE_S:
            self._begin_following()
        waiting = list(self._outgoing.values())
        late = any(now - each.sent > _AGAIN_S for each in waiting)
        if (late or self._doubtful) and self._complete and self._client.is_connected:
            self._doubtful = False
            self._begin(self._send(waiting))
        self._judge(now)

    def _judge(self, now: float) -> None:
        oldest = min((each.since for each in self._outgoing.values()), default=now)
        late = self._cut_off or now - self._incomplete_since > _CUT_OFF_S
        if not self._client.is_connected:
            why = "NATS cannot be reached"
        elif self._subject and not self._complete and late:
            why = "NATS does not tell what has happened"
        elif now - oldest > _CUT_OFF_S:
            why = "NATS takes nothing"
        else:
            why = ""
        if bool(why) != self._cut_off:
            self._cut_off = bool(why)
            self._on_link(Link(not why, why))


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def _ignore(error: Exception) -> None:
    _log.debug("NATS: %s", _words(error))
