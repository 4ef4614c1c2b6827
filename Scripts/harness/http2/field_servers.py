"""nginx, HAProxy, nghttpd and Node with their limits on field sections raised, in a folder of their own that is removed at the end.

Each can say which requests came, with which fields.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import certificates
from harness.http2 import fields, nghttpd_log
from harness.http2.fields_recorder import Recorder, asked
from harness.ports import free_ports, wait_until_listening

KIB = 1024
NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
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
}}
"""

HAPROXY = """\
global
    tune.h2.max-concurrent-streams 200
    tune.bufsize 524288
    tune.http.maxhdr 1000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
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
    # How many bytes of fields it takes in one request, and in one field, and why not more.
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
            for port, command in self.commands():
                process = subprocess.Popen([str(word) for word in command], stdout=open(self.log, "ab"),
                                           stderr=subprocess.STDOUT)
                self.processes.append(process)
                if not wait_until_listening(process, port):
                    raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-300:]}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)

    @property
    def log(self):
        return self.folder / "log"

    def version(self):
        said = subprocess.run([self.program, *self.version_arguments], capture_output=True, text=True)
        return re.search(r"\d+(\.\d+)+", said.stdout + said.stderr).group()

    def arguments(self, transport):
        """What makes the tool talk to it, and the beginning of its URLs."""
        if transport == "h2c":
            return ["--h2c"], f"http://localhost:{self.ports['plain']}"
        return ["--http2", "--cacert", str(self.folder / "ca.pem")], f"https://localhost:{self.ports['tls']}"

    def target(self, number, answer, more):
        """The target of a request whose response has `answer` bytes of fields."""
        return f"/fields?number={number}&answer={answer}&more={more}"

    def answer(self, target):
        """The fields of the response to that target."""
        return fields.answer_fields(*asked(target))

    def came(self, line):
        """Of a response that the tool has printed, the section in which the large fields are."""
        return line.get("headers", [])

    def requests(self):
        """(target, fields) of each request that came since this was last asked."""
        raise NotImplementedError

    def commands(self):
        """The ports, and the command of the process that listens there."""
        raise NotImplementedError


class Proxy(FieldServer):
    """Hands requests on to a recorder over HTTP/1.1."""

    configuration = ""

    def __enter__(self):
        self.recorder = Recorder()
        user = "user root;" if os.geteuid() == 0 else ""
        self.file = self.folder / "configuration"
        self.file.write_text(self.configuration.format(folder=self.folder, user=user, recorder=self.recorder.port,
                                                       **self.ports))
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.recorder.stop()

    def requests(self):
        requests, self.recorder.requests = self.recorder.requests, []
        return requests


class Nginx(Proxy):
    name = "nginx"
    program = "nginx"
    configuration = NGINX

    def commands(self):
        yield self.ports.values(), ["nginx", "-p", self.folder, "-c", self.file, "-e", self.folder / "nginx.log"]


class HAProxy(Proxy):
    name = "HAProxy"
    program = "haproxy"
    configuration = HAPROXY

    def commands(self):
        yield self.ports.values(), ["haproxy", "-f", self.file]


class Nghttpd(FieldServer):
    """Prints what it receives. Its responses are files; what it can add to them are trailers, the same for all."""

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
        options = ["-v", "-a", "127.0.0.1", "-d", files]
        for name, value in self.trailers:
            options += ["--trailer", f"{name}: {value}"]
        yield [self.ports["plain"]], ["nghttpd", "--no-tls", *options, self.ports["plain"]]
        yield [self.ports["tls"]], ["nghttpd", *options, self.ports["tls"], self.folder / "server.key",
                                    self.folder / "server.pem"]

    def answer(self, target):
        return self.trailers

    def came(self, line):
        return line.get("trailers", [])

    def requests(self):
        return [(arrival.pseudo(":path"), [pair for pair in arrival.fields if not pair[0].startswith(":")])
                for arrival in nghttpd_log.take(self.log)]


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


@contextlib.contextmanager
def stage():
    """A folder for the servers."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-fields-"))
    # A worker that has dropped root's rights reads the configuration and the certificate.
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


SERVERS = (Nginx, HAProxy, Nghttpd, Node)
