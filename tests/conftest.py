"""What every test gets: checked lock order, repeatable properties, and nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from securechat.net.locks import check_lock_order

pytest_plugins = ["tests.services.nats", "tests.services.postgres"]

check_lock_order(True)

# The tests themselves live to the end: looking through all of them for garbage is not cheap.
gc.set_threshold(20_000, 20, 20)

settings.register_profile(
    "repeatable", max_examples=50, derandomize=True, deadline=None, database=None
)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

THREAD_END_TIMEOUT_S = 10
"""How long a test's threads may take to end after it, all of them together."""


ID_LIMIT = 50
"""Longest text in the name of a test."""


def pytest_configure(config: pytest.Config) -> None:
    """Say what marks there are."""
    mark = "starts_first: it mostly waits, for long: begin with it, and do all else beside it"
    config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest: the last test of all would be waited for alone."""
    items.sort(key=lambda item: item.get_closest_marker("starts_first") is None)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Keys and certificates are others in each process, and those that share the tests must give
    them the same names: what is long is called as its parameter.
    """
    return argname if isinstance(val, str | bytes) and len(val) > ID_LIMIT else None


@pytest.fixture(autouse=True, scope="session")
def _the_home_stays_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A client keeps its key and its profiles in the home of its user: not of who runs this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _english_is_spoken() -> Iterator[None]:
    """What programs say is looked at in English, whatever whoever runs this speaks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANGUAGE", "en")
        yield


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_END_TIMEOUT_S
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(max(0, deadline - time.monotonic()))
    left = sorted(thread.name for thread in started if thread.is_alive())
    if left:
        pytest.fail(f"threads still running after the test: {', '.join(left)}")
