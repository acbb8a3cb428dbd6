from __future__ import annotations

import pytest

from securechat.errors import RemoteProtocolError
from securechat.irc.batch import (
    BATCH_DEPTH,
    BATCHED_MESSAGES,
    OPEN_BATCHES,
    Batch,
    BatchCollector,
)
from securechat.irc.message import Message

Fed = Message | Batch | None


def feed(*lines: str, collector: BatchCollector | None = None) -> list[Fed]:
    collector = collector or BatchCollector()
    return [collector.feed(Message.parse(line)) for line in lines]


def outline(item: Fed) -> object:
    """A batch as (reference, [content, …]), a message as its last parameter."""
    if isinstance(item, Batch):
        return item.reference, [outline(inner) for inner in item.content]
    return item.params[-1] if item else None


def test_messages_outside_pass() -> None:
    message = Message("PRIVMSG", ("#a", "hi"), tags={"time": "1"})
    assert BatchCollector().feed(message) is message


def test_simple_batch() -> None:
    """batch: "Messages before start and after end of a batch (including start and end messages of
    that batch) MUST NOT refer to that batch".
    """
    fed = feed(
        ":irc.host BATCH +yXNAb netsplit irc.hub other.host",
        "@batch=yXNAb :aji!a@a QUIT :first",
        "@batch=yXNAb :nenolod!a@a QUIT :second",
        ":nick!user@host PRIVMSG #channel :not in the batch",
        "@batch=yXNAb :jilles!a@a QUIT :third",
        ":irc.host BATCH -yXNAb",
    )
    assert [outline(item) for item in fed[:-1]] == [None, None, None, "not in the batch", None]
    batch = fed[-1]
    assert isinstance(batch, Batch)
    assert (batch.reference, batch.kind) == ("yXNAb", "netsplit")
    assert batch.params == ("irc.hub", "other.host")
    assert batch.opened_by.source == "irc.host"
    assert [outline(item) for item in batch.content] == ["first", "second", "third"]


def test_interleaved_batches() -> None:
    fed = feed(
        "BATCH +1 example.com/foo",
        "@batch=1 PRIVMSG #a 1",
        "BATCH +2 example.com/foo",
        "@batch=1 PRIVMSG #a 2",
        "@batch=2 PRIVMSG #a 4",
        "@batch=1 PRIVMSG #a 3",
        "BATCH -1",
        "@batch=2 PRIVMSG #a 5",
        "BATCH -2",
    )
    done = [outline(item) for item in fed if item]
    assert done == [("1", ["1", "2", "3"]), ("2", ["4", "5"])]


@pytest.mark.parametrize(
    "starts",
    [
        ("BATCH +outer a", "@batch=outer BATCH +inner b"),
        ("@batch=outer BATCH +inner b", "BATCH +outer a"),
    ],
    ids=["outer first", "inner first"],
)
def test_nested_batches(starts: tuple[str, str]) -> None:
    """batch: "The order in which these two batches start doesn't matter"."""
    fed = feed(
        *starts,
        "@batch=inner PRIVMSG #a 2",
        "@batch=outer PRIVMSG #a 1",
        "@batch=outer BATCH -inner",
        "@batch=outer PRIVMSG #a 3",
        "BATCH -outer",
    )
    assert [outline(item) for item in fed if item] == [("outer", ["1", ("inner", ["2"]), "3"])]


def test_empty_batch() -> None:
    """batch: "An empty batch is allowed"."""
    assert outline(feed("BATCH +a b", "BATCH -a")[-1]) == ("a", [])


def test_references_are_case_sensitive() -> None:
    """batch: a reference "MUST be case-sensitive"."""
    fed = feed("BATCH +a x", "BATCH +A x", "@batch=A PRIVMSG #c 1", "BATCH -a", "BATCH -A")
    assert [outline(item) for item in fed if item] == [("a", []), ("A", ["1"])]


def test_a_reference_may_be_used_again() -> None:
    fed = feed("BATCH +a x", "BATCH -a", "BATCH +a y", "@batch=a PRIVMSG #c 1", "BATCH -a")
    assert outline(fed[-1]) == ("a", ["1"])


@pytest.mark.parametrize(
    "lines",
    [
        ["BATCH"],
        ["BATCH a"],
        ["BATCH +"],
        ["BATCH + type"],
        ["BATCH +a"],
        ["BATCH :"],
        ["BATCH -"],
        ["BATCH -a"],
        ["BATCH +a x", "BATCH -b"],
        ["BATCH +a x", "BATCH a"],
        ["BATCH +a x", "BATCH +a x"],
        ["BATCH +a x", "BATCH -a", "BATCH -a"],
        ["@batch=a PRIVMSG #c 1"],
        ["BATCH +a x", "BATCH -a", "@batch=a PRIVMSG #c 1"],
        ["@batch=a BATCH +a x", "BATCH -a"],
        ["@batch=b BATCH +a x", "BATCH -a"],
        ["BATCH +b x", "@batch=b BATCH +a x", "BATCH -b", "BATCH -a"],
    ],
)
def test_wrong_use(lines: list[str]) -> None:
    collector = BatchCollector()
    feed(*lines[:-1], collector=collector)
    with pytest.raises(RemoteProtocolError):
        feed(lines[-1], collector=collector)


def test_an_end_without_its_sign_ends_nothing() -> None:
    collector = BatchCollector()
    feed("BATCH +a x", collector=collector)
    with pytest.raises(RemoteProtocolError):
        feed("BATCH xa", collector=collector)
    assert outline(feed("BATCH -a", collector=collector)[0]) == ("a", [])


def test_most_open_batches() -> None:
    collector = BatchCollector()
    feed(*(f"BATCH +{number} x" for number in range(OPEN_BATCHES)), collector=collector)
    with pytest.raises(RemoteProtocolError):
        feed("BATCH +more x", collector=collector)
    feed("BATCH -0", "BATCH +more x", collector=collector)


def test_most_messages() -> None:
    collector = BatchCollector()
    message = Message("PRIVMSG", ("#a", "hi"), tags={"batch": "inner"})
    for _ in range(3):
        feed("BATCH +outer x", "@batch=outer BATCH +inner x", collector=collector)
        for _ in range(BATCHED_MESSAGES - 1):
            assert collector.feed(message) is None
        feed("BATCH -inner", collector=collector)
        with pytest.raises(RemoteProtocolError):
            feed("@batch=outer PRIVMSG #a hi", collector=collector)
        feed("BATCH -outer", collector=collector)


def test_empty_batches_do_not_fill_memory() -> None:
    collector = BatchCollector()
    start = Message("BATCH", ("+b", "x"), tags={"batch": "a"})
    end = Message("BATCH", ("-b",))
    feed("BATCH +a x", collector=collector)
    for _ in range(BATCHED_MESSAGES):
        collector.feed(start)
        collector.feed(end)
    collector.feed(start)
    with pytest.raises(RemoteProtocolError):
        collector.feed(end)


def nest(levels: int) -> Fed:
    """Put a batch into a batch into a batch …, with no more than two of them open at once."""
    collector = BatchCollector()
    feed("@batch=1 BATCH +0 x", "@batch=0 PRIVMSG #a hi", collector=collector)
    for level in range(1, levels - 1):
        feed(f"@batch={level + 1} BATCH +{level} x", f"BATCH -{level - 1}", collector=collector)
    last = levels - 1
    return feed(f"BATCH +{last} x", f"BATCH -{last - 1}", f"BATCH -{last}", collector=collector)[-1]


def test_deepest_batch() -> None:
    depth, item = 0, nest(BATCH_DEPTH)
    while isinstance(item, Batch):
        depth += 1
        item = item.content[0]
    assert depth == BATCH_DEPTH
    assert outline(item) == "hi"


@pytest.mark.parametrize("levels", [BATCH_DEPTH + 1, 5000])
def test_too_deep(levels: int) -> None:
    with pytest.raises(RemoteProtocolError):
        nest(levels)
