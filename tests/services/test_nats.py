"""The servers that other tests rely on: secured, lasting, and a cluster that loses a node."""

from __future__ import annotations

import asyncio
import functools
import operator
import os
import select
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from nats import connect
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from tests.e2e.children import ROOT, TIMEOUT_S
from tests.services.nats import ASK_AGAIN_S, NatsCluster, find_nats_server

T = TypeVar("T")

NAME = operator.attrgetter("name")
STREAM = "events"
ORPHAN = """
import pathlib, sys
from tests.services.nats import NatsCluster
server = NatsCluster(pathlib.Path(sys.argv[1]), nodes=1)
print(server.nodes[0].process.pid, flush=True)
sys.stdin.read()
"""


async def ignore(_: Exception) -> None:
    """A node that is killed is no surprise here."""


@asynccontextmanager
async def connected(cluster: NatsCluster, *, to: int | None = None) -> AsyncIterator[Client]:
    """A client of any of the nodes, or of one alone."""
    options = cluster.client_options()
    if to is not None:
        options["servers"] = [cluster.urls[to]]
    connection = await connect(**options, error_cb=ignore, reconnect_time_wait=ASK_AGAIN_S)
    try:
        yield connection
    finally:
        await connection.close()


async def insist(request: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is answered: while a leader is elected, nobody does."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                return await request()
            except Error:
                await asyncio.sleep(ASK_AGAIN_S)


async def add_stream(connection: Client, replicas: int) -> JetStreamContext:
    stream = connection.jetstream(timeout=1)
    config = StreamConfig(name=STREAM, subjects=[f"{STREAM}.>"], num_replicas=replicas)
    await insist(lambda: stream.add_stream(config))
    return stream


async def publish(stream: JetStreamContext, numbers: range) -> None:
    """Publish each until it is acknowledged; the stream knows what it has already."""
    for number in numbers:
        headers = {"Nats-Msg-Id": str(number)}
        send = functools.partial(stream.publish, f"{STREAM}.a", b"%d" % number, headers=headers)
        await insist(send)


async def nodes_of(stream: JetStreamContext, cluster: NatsCluster) -> list[int]:
    """Return the numbers of the nodes with a copy, the leader first, when all are up to date."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            found = (await insist(lambda: stream.stream_info(STREAM))).cluster
            assert found is not None
            replicas = found.replicas or []
            if found.leader and all(peer.current and not peer.lag for peer in replicas):
                return [cluster.number_of(name) for name in (found.leader, *map(NAME, replicas))]
            await asyncio.sleep(ASK_AGAIN_S)


async def contents(stream: JetStreamContext) -> list[int]:
    """Return what is in the stream, in its order."""
    state = (await insist(lambda: stream.stream_info(STREAM))).state
    places = range(state.first_seq, state.last_seq + 1)
    found = [await insist(functools.partial(stream.get_msg, STREAM, seq)) for seq in places]
    return [int(message.data or b"") for message in found]


def test_the_password_is_asked_for(nats: NatsCluster) -> None:
    async def scenario() -> None:
        connection = Client()
        options = nats.client_options() | {"password": "another"}
        with pytest.raises(Error, match="Authorization Violation"):
            await connection.connect(**options, error_cb=ignore, allow_reconnect=False)
        await connection.close()  # which it does itself in a task of its own, if at all
        if rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(rest, timeout=TIMEOUT_S)

    asyncio.run(scenario())


def test_the_certificate_is_of_its_own_ca(nats: NatsCluster) -> None:
    async def scenario() -> None:
        options = nats.client_options() | {"tls": ssl.create_default_context()}
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            await connect(**options, error_cb=ignore, allow_reconnect=False)

    asyncio.run(scenario())


def test_what_was_acknowledged_is_there_after_a_kill(nats: NatsCluster) -> None:
    async def scenario() -> None:
        async with connected(nats) as connection:
            stream = await add_stream(connection, replicas=1)
            await publish(stream, range(20))
            nats.kill(0)
            nats.start(0)
            await publish(stream, range(10, 30))
            assert await contents(stream) == list(range(30))

    asyncio.run(scenario())


@pytest.mark.starts_first
def test_a_paused_node_catches_up(nats_cluster: NatsCluster) -> None:
    async def scenario() -> None:
        async with connected(nats_cluster) as connection:
            leader, paused, other = await nodes_of(
                await add_stream(connection, replicas=3), nats_cluster
            )
        async with connected(nats_cluster, to=leader) as connection:
            stream = connection.jetstream(timeout=1)
            nats_cluster.pause(paused)
            await publish(stream, range(20))
            nats_cluster.resume(paused)
            nats_cluster.wait_until_ready()
            assert await nodes_of(stream, nats_cluster) == [leader, paused, other]
            nats_cluster.kill(other)
            await publish(stream, range(10, 30))
            assert await contents(stream) == list(range(30))

    asyncio.run(scenario())


def test_a_server_ends_with_who_has_started_it(tmp_path: Path) -> None:
    find_nats_server()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed: apt-get install util-linux")
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with parent:
        assert parent.stdout is not None
        server = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            assert select.select([server], [], [], TIMEOUT_S)[0], "the server has not ended"
        finally:
            os.close(server)
