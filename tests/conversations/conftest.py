"""The CA of tests/e2e."""

from __future__ import annotations

from tests.e2e.conftest import ca

__all__ = ["ca"]
