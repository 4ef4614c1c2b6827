"""A real nginx on loopback, plain and over TLS, in a temporary folder."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import certificates
from harness.ports import free_ports, wait_until_listening
from harness.sink import Sink

CONFIGURATION = """\
daemon off;
master_process on;
worker_processes 1;
{user}
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    log_format figures '$connection $connection_requests $status $request_length $body_bytes_sent $request_method $uri';
    access_log {prefix}/access.log figures;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests {keepalive_requests};
    keepalive_timeout 75s;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    server {{
        listen 127.0.0.1:{plain_port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {prefix}/server.pem;
        ssl_certificate_key {prefix}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
        root {prefix}/files;
        location /quiet/ {{ access_log off; alias {prefix}/files/; }}
        location /upload {{
            proxy_pass http://127.0.0.1:{sink_port};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


class Nginx:
    """Starts on entry, stops and removes everything on exit."""

    configuration = CONFIGURATION

    def __init__(self, prefix_command=(), keepalive_requests=100_000_000, large_bytes=1 << 30):
        self.prefix_command = list(prefix_command)
        self.keepalive_requests = keepalive_requests
        self.large_bytes = large_bytes
        self.process = None

    def __enter__(self):
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.access(binary, os.X_OK):
            sys.exit("no nginx: run `Scripts/install-dependencies --with-servers`")
        self.binary = binary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bowline-nginx."))
        # A worker without root's rights must still be able to read the files.
        self.folder.chmod(0o755)
        self.sink = Sink()
        self._make_files()
        certificates.make(self.folder)
        self._start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.sink.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_files(self):
        files = self.folder / "files"
        files.mkdir()
        (files / "1k").write_bytes(bytes(33 + i % 90 for i in range(1024)))
        (files / "1m").write_bytes(bytes(i % 251 for i in range(1 << 20)))
        with open(files / "1g", "wb") as large:
            large.truncate(self.large_bytes)

    def _start(self):
        for _ in range(5):
            self.plain_port, self.tls_port, self.h2c_port, self.strangers_port = free_ports(4)
            (self.folder / "nginx.conf").write_text(self.configuration.format(
                prefix=self.folder, plain_port=self.plain_port, tls_port=self.tls_port, h2c_port=self.h2c_port, strangers_port=self.strangers_port, sink_port=self.sink.port,
                keepalive_requests=self.keepalive_requests, user="user root;" if os.getuid() == 0 else ""))
            self.process = subprocess.Popen([*self.prefix_command, *self._command()], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.PIPE, text=True)
            if wait_until_listening(self.process, (self.plain_port, self.tls_port)):
                return
        sys.exit(f"nginx did not start: {self.process.stderr.read()[-500:]}")

    def _command(self):
        return [self.binary, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e",
                str(self.folder / "error.log")]

    def reload(self):
        """`nginx -s reload`: new workers take over, old ones close their idle connections and end."""
        done = subprocess.run([*self._command(), "-s", "reload"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"nginx -s reload: {done.stderr.strip()[-300:]}")

    def plain(self, path):
        return f"http://127.0.0.1:{self.plain_port}{path}"

    def tls(self, path, host="localhost"):
        return f"https://{host}:{self.tls_port}{path}"

    @property
    def authority(self):
        return str(self.folder / "ca.pem")

    def forget_log(self):
        """Empties the access log, so that new entries belong to the next check."""
        os.truncate(self.folder / "access.log", 0)

    def log(self, expected=0, patience=5):
        """The access log's entries. Waits until there are as many as expected, because nginx logs after it has answered."""
        until = time.monotonic() + patience
        while True:
            entries = [LogEntry(line) for line in (self.folder / "access.log").read_text().splitlines() if line]
            if len(entries) >= expected or time.monotonic() > until:
                return entries
            time.sleep(0.05)


class LogEntry:
    def __init__(self, line):
        connection, requests, status, received, sent, self.method, self.path = line.split(" ", 6)
        self.connection = int(connection)
        self.requests_on_connection = int(requests)
        self.status = int(status)
        self.bytes_received = int(received)
        self.bytes_sent = int(sent)
