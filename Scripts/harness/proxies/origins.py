"""The origins behind the proxies, on loopback: one without TLS, and nginx with TLS and HTTP/2. Both record each request."""

import asyncio
import os

from harness import certificates
from harness.http2 import programs
from harness.http2.recorder import Recorder

# The proxies resolve this name. No other process does.
NAME = "origin.test"
# The origins answer requests with such targets late, so that requests are in flight when a proxy is killed.
SLOW = "/slow"
_DELAY = 0.02

NGINX = """\
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        keepalive_requests 100000000;
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
        }}
    }}
"""


class Origin(Recorder):
    async def _respond(self, head, reader, writer):
        if head.target.startswith(SLOW):
            await asyncio.sleep(_DELAY)
        await super()._respond(head, reader, writer)


class Kind:
    """A way to send requests: the tool's options, the origin that gets the requests, and the protocols of the responses."""

    def __init__(self, name, options, base, origin, protocols):
        self.name = name
        self.options = options
        self.base = base
        self.origin = origin
        self.protocols = protocols

    def __str__(self):
        return self.name


class Origins:
    """Starts on entry, stops on exit. `ports` are two free ones: nginx listens on one, and no server on the other."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.tls_port, self.closed_port = ports
        self.process = None
        self.plain = self.behind = None

    def __enter__(self):
        certificates.make(self.folder, f"DNS:localhost,DNS:{NAME},IP:127.0.0.1")
        # Longer than a buffer of a proxy; no two parts of it are alike.
        (self.folder / "body").write_bytes(os.urandom(40_000))
        self.plain, self.behind = Origin(scheme="http"), Origin()
        command = programs.nginx(self.folder, NGINX, tls=self.tls_port, behind=self.behind.port)
        try:
            self.process = programs.start("nginx", command, [self.tls_port], self.folder / "nginx.out")
        except BaseException:
            self.__exit__()
            raise
        tls = ["--cacert", self.authority]
        secure = f"https://{NAME}:{self.tls_port}"
        self.without_tls = Kind("without TLS", [], f"http://{NAME}:{self.plain.port}", self.plain, {"HTTP/1.0", "HTTP/1.1"})
        self.with_tls = Kind("TLS", ["--http1", *tls], secure, self.behind, {"HTTP/1.1"})
        self.with_http2 = Kind("HTTP/2", ["--http2", *tls], secure, self.behind, {"HTTP/2"})
        return self

    def __exit__(self, *_):
        if self.process:
            programs.stop([self.process])
        for origin in (self.plain, self.behind):
            origin.stop()

    @property
    def authority(self):
        return str(self.folder / "ca.pem")

    @property
    def kinds(self):
        return [self.without_tls, self.with_tls, self.with_http2]

    def arrivals(self):
        """How many requests have arrived at both origins."""
        return len(self.plain.arrivals) + len(self.behind.arrivals)
