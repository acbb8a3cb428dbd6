"""A router that maps ports by UPnP (an Internet Gateway Device 1), as far as clients ask for it.

As a program it is found by a search in its network, and lets in what it maps::

    python -m tests.peer.upnp_router LAN-ADDRESS WAN-ADDRESS
"""

from __future__ import annotations

import http.server
import queue
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from securechat.net.threads import start_thread

SSDP = ("239.255.255.250", 1900)
"""Where searches go (UPnP Device Architecture, 1.3)."""

GATEWAY = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:1"

DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">
<specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>{GATEWAY}</deviceType><friendlyName>test</friendlyName><UDN>uuid:1</UDN>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<UDN>uuid:2</UDN><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId>
<controlURL>/common</controlURL><eventSubURL>/events</eventSubURL><SCPDURL>/common.xml</SCPDURL>
</service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<UDN>uuid:3</UDN><serviceList><service><serviceType>{CONNECTION}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/connection</controlURL><eventSubURL>/events</eventSubURL><SCPDURL>/ip.xml</SCPDURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>
"""

ENVELOPE = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>{}</s:Body></s:Envelope>
"""

FAULT = """<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{}</errorCode>
<errorDescription>no</errorDescription></UPnPError></detail></s:Fault>"""

TAKEN = 718
"""ConflictInMappingEntry."""


@dataclass
class Asked:
    """What a client has asked for: an action, and its arguments."""

    action: str
    arguments: Mapping[str, str]


@dataclass
class UpnpRouter:
    """It answers on ``address``, and runs until ``close``.

    :param external: the address that it says it has.
    :param refuse: returns the code of an error for what is asked, or 0.
    """

    address: str = "127.0.0.1"
    external: str = "198.51.100.7"
    port: int = 0
    refuse: Callable[[Asked], int] = lambda asked: 0
    asked: queue.SimpleQueue[Asked] = field(default_factory=queue.SimpleQueue)
    """What was done, but for questions."""

    def __post_init__(self) -> None:
        router = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, DESCRIPTION)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                action = self.headers["SOAPAction"].strip('"').rpartition("#")[2]
                arguments = dict(re.findall(r"<(New\w+)>([^<]*)</", body))
                self._answer(*router.do(Asked(action, arguments)))

            def _answer(self, status: int, body: str) -> None:
                content = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = start_thread("router", lambda: self._server.serve_forever(0.05))

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/description.xml"

    def do(self, asked: Asked) -> tuple[int, str]:
        """Return status and body of the answer."""
        code = self.refuse(asked)
        if code:
            return 500, ENVELOPE.format(FAULT.format(code))
        found = {
            "GetStatusInfo": "<NewConnectionStatus>Connected</NewConnectionStatus>",
            "GetExternalIPAddress": f"<NewExternalIPAddress>{self.external}</NewExternalIPAddress>",
        }.get(asked.action)
        if found is None:
            self.asked.put(asked)
        name = f"{asked.action}Response"
        return 200, ENVELOPE.format(f'<u:{name} xmlns:u="{CONNECTION}">{found or ""}</u:{name}>')

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer_searches(router: UpnpRouter) -> None:
    """Tell those who search for a router in its network where it is, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        group = struct.pack("4s4s", socket.inet_aton(SSDP[0]), socket.inet_aton(router.address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        sock.bind(SSDP)
        print("ready", flush=True)
        while True:
            question, asker = sock.recvfrom(2_048)
            if GATEWAY in question.decode():
                answer = f"HTTP/1.1 200 OK\r\nST: {GATEWAY}\r\nUSN: uuid:1::{GATEWAY}\r\n"
                sock.sendto(f"{answer}LOCATION: {router.url}\r\n\r\n".encode(), asker)


def let_in(asked: Asked) -> None:
    """Have the kernel map what was asked for; the chain is that of ``tests.e2e.namespaces``."""
    if asked.action == "AddPortMapping":
        said = asked.arguments
        to = f"{said['NewInternalClient']}:{said['NewInternalPort']}"
        rule = f"add rule ip nat arriving tcp dport {said['NewExternalPort']} dnat to {to}"
    else:
        rule = "flush chain ip nat arriving"  # there is one mapping
    subprocess.run(["nft", rule], check=True)


def main() -> None:
    router = UpnpRouter(address=sys.argv[1], external=sys.argv[2])

    def map_ports() -> None:
        while True:
            let_in(router.asked.get())

    start_thread("mapping", map_ports)
    answer_searches(router)


if __name__ == "__main__":
    main()
