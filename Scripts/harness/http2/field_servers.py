"""nginx, HAProxy, nghttpd and Node with raised limits on field sections, in a temporary folder.

Each can list the requests that arrived, with their fields.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess

from harness import certificates
from harness.http2 import fields, nghttpd_log, programs
from harness.http2.recorder import Recorder
from harness.ports import free_ports

KIB = 1024
NGINX = """\
    server {{
        listen 127.0.0.1:{plain} http2;
        listen 127.0.0.1:{tls} ssl http2;
        keepalive_requests 1000000;
        large_client_header_buffers 8 256k;
        location / {{
            proxy_pass http://127.0.0.1:{recorder};
            proxy_http_version 1.1;
            proxy_buffer_size 128k;
            proxy_buffers 8 128k;
            proxy_busy_buffers_size 256k;
        }}
    }}
"""

HAPROXY_TUNING = """\
    tune.bufsize 524288
    tune.http.maxhdr 1000
"""
HAPROXY = """\
    bind 127.0.0.1:{plain} proto h2
    bind 127.0.0.1:{tls} ssl crt {folder}/both.pem alpn h2,http/1.1
    default_backend back
backend back
    server one 127.0.0.1:{recorder}
"""


class FieldServer:
    """One server, over h2c and TLS: starts on entry, stops on exit."""

    name = ""
    program = ""
    version_arguments = ("-v",)
    # How many bytes of fields the server accepts in one request and in one field, and the reason for the limit.
    request_bytes = 200 * KIB
    field_bytes = 120_000
    response_bytes = 60 * KIB
    limits = ""

    def __init__(self, folder):
        self.folder = folder / self.name
        self.folder.mkdir(mode=0o755)
        certificates.make(self.folder)
        self.ports = dict(zip(("plain", "tls"), free_ports(2)))
        self.processes = []

    def __enter__(self):
        try:
            for ports, command in self.commands():
                self.processes.append(programs.start(self.name, command, ports, self.log))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        programs.stop(self.processes)

    @property
    def log(self):
        return self.folder / "log"

    def version(self):
        said = subprocess.run([self.program, *self.version_arguments], capture_output=True, text=True)
        return re.search(r"\d+(\.\d+)+", said.stdout + said.stderr).group()

    def arguments(self, transport):
        """The tool's options for this server and transport, and the beginning of the URLs."""
        if transport == "h2c":
            return ["--h2c"], f"http://localhost:{self.ports['plain']}"
        return ["--http2", "--cacert", str(self.folder / "ca.pem")], f"https://localhost:{self.ports['tls']}"

    def target(self, number, answer, more):
        """The target of a request whose response has `answer` bytes of fields."""
        return f"/fields?number={number}&answer={answer}&more={more}"

    def answer(self, target):
        """The fields of the response to that target."""
        return fields.answer_to(target)

    def came(self, line):
        """The section of a printed response that has the large fields."""
        return line.get("headers", [])

    def requests(self):
        """(target, fields) of each request that arrived since the previous call."""
        raise NotImplementedError

    def commands(self):
        """The ports, and the command of the process that listens on them."""
        raise NotImplementedError


class Proxy(FieldServer):
    """Forwards requests to a recorder over HTTP/1.1."""

    def __enter__(self):
        self.recorder = Recorder(fields.answer_to)
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.recorder.stop()

    def requests(self):
        arrivals, self.recorder.arrivals = self.recorder.arrivals, []
        return [(arrival.pseudo(":path"), _without_pseudo(arrival.fields)) for arrival in arrivals]


class Nginx(Proxy):
    name = "nginx"
    program = "nginx"

    def commands(self):
        yield self.ports.values(), programs.nginx(self.folder, NGINX, log="nginx.log", recorder=self.recorder.port,
                                                  **self.ports)


class HAProxy(Proxy):
    name = "HAProxy"
    program = "haproxy"

    def commands(self):
        yield self.ports.values(), programs.haproxy(self.folder, HAPROXY, HAPROXY_TUNING, recorder=self.recorder.port,
                                                    **self.ports)


class Nghttpd(FieldServer):
    """Prints the requests that it receives. Its responses are files. It can add only trailers to them, the same for all."""

    name = "nghttpd"
    program = "nghttpd"
    version_arguments = ("--version",)
    request_bytes = 60 * KIB
    field_bytes = 50_000
    limits = "nghttpd resets a stream whose fields count more than 64 KiB; the response's fields are trailers"

    def commands(self):
        files = self.folder / "files"
        files.mkdir()
        (files / "fields").write_text("fields\n")
        self.trailers = fields.answer_fields(0, self.response_bytes)
        options = ["-v"]
        for name, value in self.trailers:
            options += ["--trailer", f"{name}: {value}"]
        for name in ("plain", "tls"):
            yield [self.ports[name]], programs.nghttpd(self.folder, self.ports[name], name == "tls", *options)

    def answer(self, target):
        return self.trailers

    def came(self, line):
        return line.get("trailers", [])

    def requests(self):
        return [(arrival.pseudo(":path"), _without_pseudo(arrival.fields)) for arrival in nghttpd_log.take(self.log)]


class Node(FieldServer):
    name = "Node"
    program = "node"
    version_arguments = ("--version",)
    field_bytes = 100_000
    limits = "Node's nghttp2 takes a field whose Huffman code counts 64 KiB at most"

    def commands(self):
        script = pathlib.Path(__file__).with_name("fields.js")
        yield self.ports.values(), ["node", script, self.ports["plain"], self.ports["tls"], self.folder / "server.key",
                                    self.folder / "server.pem"]

    def requests(self):
        requests = []
        with open(self.log, encoding="utf-8") as log:
            for line in log:
                if line.startswith("["):
                    target, came = json.loads(line)
                    requests.append((target, [tuple(field) for field in came]))
        os.truncate(self.log, 0)
        return requests


def _without_pseudo(came):
    return [(name, value) for name, value in came if not name.startswith(":")]


@contextlib.contextmanager
def stage():
    """A folder for the servers."""
    folder = programs.make_folder("bowline-fields-")
    try:
        yield folder
    finally:
        programs.remove_folder(folder)


SERVERS = (Nginx, HAProxy, Nghttpd, Node)
