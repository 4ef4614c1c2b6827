"""nginx, nghttpd and HAProxy with HTTP/2 on loopback, in a temporary folder."""

import os
import signal

from harness import certificates
from harness.http2 import nghttpd_log, programs
from harness.http2.recorder import Recorder
from harness.ports import free_ports

# Prints the fields and the body lengths of requests, and sends each body back.
ECHOING = ("--verbose", "--echo-upload")
LOG_FORMAT = "    log_format ids '$request_method $http_x_id $status';\n"
NGINX = """\
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
"""

HAPROXY = """\
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
        self.folder = programs.make_folder("bowline-http2-")
        names = ("nginx", "goaway", "backend", "haproxy", "nghttpd", "h2c", "echo", "h2c-echo")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.sink = Recorder()
        self.ports["sink"] = self.sink.port
        self.commands = {}
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
        programs.stop(self.processes.values())
        self.sink.stop()
        programs.remove_folder(self.folder)

    def _prepare(self):
        files = self.folder / "files"
        files.mkdir()
        (files / "1k").write_bytes(os.urandom(1024))
        with open(files / "large", "wb") as file:
            file.truncate(self.large)
        # Longer than a frame; no two parts of it are alike.
        (files / "body").write_bytes(os.urandom(40_000))
        certificates.make(self.folder)
        self.commands = {
            "nginx": programs.nginx(self.folder, NGINX, log_format=LOG_FORMAT, has_files=True, **self.ports),
            "haproxy": programs.haproxy(self.folder, HAPROXY, **self.ports),
            "nghttpd": programs.nghttpd(self.folder, self.ports["nghttpd"], True),
            "h2c": programs.nghttpd(self.folder, self.ports["h2c"], False),
            # Printing costs time, so the servers under load are separate ones that do not print.
            "echo": programs.nghttpd(self.folder, self.ports["echo"], True, *ECHOING),
            "h2c-echo": programs.nghttpd(self.folder, self.ports["h2c-echo"], False, *ECHOING),
        }

    def start(self, name):
        self.processes[name] = programs.start(name, self.commands[name], [self.ports[name]], self.folder / f"{name}.out")

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def arguments(self, name):
        """The tool's options for that server; the last element is the beginning of its URLs."""
        if name in ("h2c", "h2c-echo"):
            return ["--h2c", f"http://localhost:{self.ports[name]}"]
        return ["--http2", "--cacert", str(self.folder / "ca.pem"), f"https://localhost:{self.ports[name]}"]

    def arrivals(self, name):
        """The requests that an echoing nghttpd has received since the previous call."""
        return nghttpd_log.take(self.folder / f"{name}.out")

    @property
    def access_log(self):
        return self.folder / "access.log"
