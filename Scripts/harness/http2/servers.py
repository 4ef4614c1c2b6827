"""nginx, nghttpd and HAProxy, each speaking HTTP/2 on loopback, in a folder of their own that is removed at the end."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness import certificates
from harness.http2 import nghttpd_log
from harness.http2.recorder import Recorder
from harness.ports import free_ports, wait_until_listening

NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    log_format ids '$request_method $http_x_id $status';
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/octet-stream;
    sendfile on;
    root {folder}/files;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    server {{
        listen 127.0.0.1:{nginx} ssl http2;
        keepalive_requests 100000000;
        client_max_body_size 0;
        location /upload {{
            proxy_pass http://127.0.0.1:{sink};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
    server {{
        listen 127.0.0.1:{goaway} ssl http2;
        keepalive_requests 100;
        access_log {folder}/access.log ids;
        location /post {{ return 200 "ok"; }}
    }}
    server {{ listen 127.0.0.1:{backend}; keepalive_requests 100000000; }}
}}
"""

HAPROXY = """\
global
    tune.h2.max-concurrent-streams 200
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{haproxy} ssl crt {folder}/both.pem alpn h2,http/1.1
    use_backend sink if {{ path_beg /upload }}
    default_backend back
backend sink
    server one 127.0.0.1:{sink}
backend back
    http-reuse always
    server one 127.0.0.1:{backend}
"""


class Servers:
    def __init__(self, large):
        self.large = large
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-http2-"))
        names = ("nginx", "goaway", "backend", "haproxy", "nghttpd", "h2c", "echo", "h2c-echo")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.sink = Recorder()
        self.ports["sink"] = self.sink.port
        self.processes = {}

    def __enter__(self):
        try:
            self._prepare()
            for name in ("nginx", "nghttpd", "h2c", "haproxy", "echo", "h2c-echo"):
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            with contextlib.suppress(OSError):
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        self.sink.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self):
        files = self.folder / "files"
        files.mkdir()
        os.chmod(self.folder, 0o755)
        (files / "1k").write_bytes(os.urandom(1024))
        with open(files / "large", "wb") as file:
            file.truncate(self.large)
        # Longer than a frame, and no two parts of it alike.
        (files / "body").write_bytes(os.urandom(40_000))
        certificates.make(self.folder)
        user = "user root;" if os.geteuid() == 0 else ""
        for name, text in (("nginx.conf", NGINX), ("haproxy.cfg", HAPROXY)):
            (self.folder / name).write_text(text.format(folder=self.folder, user=user, **self.ports))

    def start(self, name):
        files, key, certificate = self.folder / "files", self.folder / "server.key", self.folder / "server.pem"
        # Each line of what it prints costs time: those under load are quiet.
        log, echoing = subprocess.DEVNULL, ["--verbose", "--echo-upload", "-a", "127.0.0.1", "-d", files]
        command = {
            "nginx": ["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"],
            "haproxy": ["haproxy", "-f", self.folder / "haproxy.cfg"],
            "nghttpd": ["nghttpd", "-a", "127.0.0.1", "-d", files, str(self.ports["nghttpd"]), key, certificate],
            "h2c": ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", files, str(self.ports["h2c"])],
            "echo": ["nghttpd", *echoing, self.ports["echo"], key, certificate],
            "h2c-echo": ["nghttpd", "--no-tls", *echoing, self.ports["h2c-echo"]],
        }[name]
        if name in ("echo", "h2c-echo"):
            log = open(self._log(name), "ab")
        self.processes[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.DEVNULL)
        if wait_until_listening(self.processes[name], [self.ports[name]]):
            return
        if self.processes[name].poll() is not None:
            raise RuntimeError(f"{name} ended with status {self.processes[name].returncode}: is its port taken?")
        raise RuntimeError(f"{name} did not start")

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def arguments(self, name):
        """What makes the tool talk to that server, its URL's beginning last."""
        if name in ("h2c", "h2c-echo"):
            return ["--h2c", f"http://localhost:{self.ports[name]}"]
        return ["--http2", "--cacert", str(self.folder / "ca.pem"), f"https://localhost:{self.ports[name]}"]

    def _log(self, name):
        return self.folder / f"{name}.log"

    def arrivals(self, name):
        """The requests that an nghttpd that echoes has got since this was last asked."""
        return nghttpd_log.take(self._log(name))

    @property
    def access_log(self):
        return self.folder / "access.log"
