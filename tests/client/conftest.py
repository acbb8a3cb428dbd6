from __future__ import annotations

import pytest

from tests.client.scripted_server import Pki
from tests.server.conftest import relay, relay_certificates, start_relay

__all__ = ["relay", "relay_certificates", "start_relay"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))
