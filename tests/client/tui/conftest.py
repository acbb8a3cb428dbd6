from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from securechat.client.words import translation
from tests.client.tui.quiet import use_quiet
from tests.server.conftest import StartRelay
from tests.server.relay_harness import RunningRelay


@pytest.fixture(autouse=True, scope="package")
def _quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_quiet(patch)
        yield


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay whose time passes: what was read depends on it."""
    return start_relay(wall_clock=time.time)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Tests that want another language choose it; it is taken back."""
    before = translation._Chosen.catalogue, translation._Chosen.language
    yield
    translation._Chosen.catalogue, translation._Chosen.language = before
