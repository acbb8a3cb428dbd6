"""A DNS server on loopback that knows some SRV records."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from securechat.client import srv


class NameServer:
    """Answers by UDP. ``records``: ``priority weight port target`` of the names that there are."""

    def __init__(self, **records: Sequence[str]) -> None:
        self.asked: list[str] = []
        self.records = {name.replace("_dot_", "."): found for name, found in records.items()}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            (question,) = query.question
            name = question.name.to_text()
            self.asked.append(name)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            domain = name.removeprefix("_ircs._tcp.").removesuffix(".")
            if domain not in self.records:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif self.records[domain]:
                answer.answer.append(
                    dns.rrset.from_text(name, 60, "IN", "SRV", *self.records[domain])
                )
            self._socket.sendto(answer.to_wire(), sender)

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, **records: Sequence[str]) -> Iterator[NameServer]:
    """Run a DNS server, and have it asked in place of that of this machine."""
    server = NameServer(**records)

    class Resolver(dns.resolver.Resolver):
        def __init__(self) -> None:
            super().__init__(configure=False)
            self.nameservers = ["127.0.0.1"]
            self.port = server.port

    monkeypatch.setattr(dns.resolver, "Resolver", Resolver)
    monkeypatch.setattr(srv, "LOOKUP_S", 20.0)
    try:
        yield server
    finally:
        server.close()
