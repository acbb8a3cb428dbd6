import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.devices import PeerDevice, PeerDevices

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
def devices(connection: Connection) -> PeerDevices:
    return PeerDevices(connection)


def test_the_devices_of_an_account_in_the_order_in_which_they_were_seen(devices):
    devices.add("alice", TWO, b"two", 5)
    devices.add("alice", ONE, b"\x00one\xff", 6)
    devices.add("bob", TWO, b"two", 4)
    assert devices.list("alice") == (
        PeerDevice(TWO, b"two", 5, 5),
        PeerDevice(ONE, b"\x00one\xff", 6, 6),
    )
    assert devices.list("bob") == (PeerDevice(TWO, b"two", 4, 4),)
    assert devices.list("carol") == ()


def test_when_a_device_was_seen_last(devices):
    devices.add("alice", ONE, b"one", 5)
    devices.add("alice", ONE, b"one", 9)
    devices.add("bob", ONE, b"one", 6)
    assert devices.list("alice") == (PeerDevice(ONE, b"one", 5, 9),)
    devices.seen("alice", ONE, 12)
    devices.seen("alice", TWO, 13)
    assert devices.list("alice") == (PeerDevice(ONE, b"one", 5, 12),)
    assert devices.list("bob") == (PeerDevice(ONE, b"one", 6, 6),)


@pytest.mark.parametrize(
    ("count", "always", "kept"),
    [
        (3, (), [ONE, TWO, THREE]),
        (2, (), [ONE, THREE]),
        (1, (), [ONE]),
        (2, (TWO,), [ONE, TWO]),
        (1, (TWO,), [TWO]),
        (2, (TWO, THREE, "4" * 64), [TWO, THREE]),
        (0, (), []),
    ],
)
def test_only_so_many_are_kept(devices, count, always, kept):
    devices.add("alice", ONE, b"one", 1)
    devices.add("alice", TWO, b"two", 2)
    devices.add("alice", THREE, b"three", 3)
    devices.seen("alice", ONE, 4)
    devices.add("bob", TWO, b"two", 0)
    devices.keep_latest("alice", count, always)
    assert [device.fingerprint for device in devices.list("alice")] == kept
    assert len(devices.list("bob")) == 1


def test_all_devices_go_with_the_account(devices):
    devices.add("alice", ONE, b"one", 1)
    devices.add("alice", TWO, b"two", 1)
    devices.add("bob", ONE, b"one", 1)
    devices.delete_account("alice")
    assert devices.list("alice") == ()
    assert len(devices.list("bob")) == 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("add", "alice", ONE, b"one", 1), "cannot add a device to alice"),
        (("seen", "alice", ONE, 1), "cannot update a device of alice"),
        (("list", "alice"), "cannot list the devices of alice"),
        (("delete_account", "alice"), "cannot forget the devices of alice"),
    ],
)
def test_an_error_of_the_database_is_a_store_error(connection, devices, call, told):
    connection.execute("DROP TABLE peer_devices")
    name, *arguments = call
    with pytest.raises(StoreError, match=told):
        getattr(devices, name)(*arguments)
