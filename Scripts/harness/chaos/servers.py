"""Five nginx on 127.0.0.1 to 127.0.0.5, each a process of its own, and one service behind them that does the work."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness.ports import lasting_ports, wait_until_listening

COUNT = 5
SERVICE = pathlib.Path(__file__).resolve().parent / "service.js"
NGINX = """\
daemon off;
master_process off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/{name}-body;
    proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-fastcgi;
    uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
    keepalive_requests 100000000;
    upstream service {{ server 127.0.0.1:{service_port}; keepalive 256; keepalive_requests 100000000; keepalive_timeout 600s; }}
    server {{
        listen {address}:{port} backlog=4096;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # nginx must not send a request twice: the clients' retries are counted.
            proxy_next_upstream off;
            # A service executes a request that it has received, even if the client has given up.
            proxy_ignore_client_abort on;
        }}
    }}
}}
"""


class Servers:
    """Starts the servers on entry, and stops and removes everything on exit."""

    def __init__(self):
        self.nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.node = shutil.which("node")
        if not os.access(self.nginx, os.X_OK) or not self.node:
            sys.exit("nginx or node is missing: run `Scripts/install-dependencies --with-servers`")
        self.addresses = [f"127.0.0.{number}" for number in range(1, COUNT + 1)]
        self.processes = [None] * COUNT
        self.service = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-chaos-"))
        self.port, self.control, *self.service_ports = lasting_ports(2 + COUNT)
        try:
            self.service = subprocess.Popen([self.node, SERVICE, str(self.control), *map(str, self.service_ports)])
            if not wait_until_listening(self.service, [self.control, *self.service_ports]):
                raise RuntimeError("the service did not start")
            for index in range(COUNT):
                self.start(index)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in [*self.processes, self.service]:
            if process and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def version(self):
        said = subprocess.run([self.nginx, "-v"], capture_output=True, text=True).stderr
        return said.strip().removeprefix("nginx version: ").split(" ")[0]

    def ask(self, path, method="GET"):
        """Asks the service's control port."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}/{path}", method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as response:
            return json.load(response)

    # The faults, and their ends.

    def start(self, index):
        name = f"nginx-{index}"
        configuration = self.folder / f"{name}.conf"
        configuration.write_text(NGINX.format(
            folder=self.folder, name=name, address=self.addresses[index], port=self.port,
            service_port=self.service_ports[index]))
        self.processes[index] = subprocess.Popen(
            [self.nginx, "-p", self.folder, "-c", configuration, "-e", self.folder / f"{name}.log"])
        until = time.monotonic() + 5
        while not self._listens(index):
            if time.monotonic() > until or self.processes[index].poll() is not None:
                raise RuntimeError(f"nginx did not start: {(self.folder / f'{name}.log').read_text()[-300:]}")
            time.sleep(0.01)

    def _listens(self, index):
        try:
            socket.create_connection((self.addresses[index], self.port), 1).close()
            return True
        except OSError:
            return False

    def kill(self, index):
        self.processes[index].kill()
        self.processes[index].wait()

    def pause(self, index):
        self.processes[index].send_signal(signal.SIGSTOP)

    def resume(self, index):
        self.processes[index].send_signal(signal.SIGCONT)

    def slow_down(self, index):
        self.ask(f"mode/{index}/slow", "PUT")

    def refuse(self, index):
        self.ask(f"mode/{index}/503", "PUT")

    def make_usual(self, index):
        self.ask(f"mode/{index}/usual", "PUT")
