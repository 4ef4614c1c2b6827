"""nginx, Apache and Node on loopback, with a short keep-alive timeout and a log line "METHOD ID" for each request."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from harness.ports import free_port

NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    log_format ids '$request_method $http_x_id';
    access_log {log} ids;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout {milliseconds}ms{hint};
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        add_header X-Id $http_x_id;
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""

APACHE = """\
ServerRoot "{folder}"
ServerName localhost
PidFile "{folder}/pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/error.log"
LogLevel warn
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule headers_module {modules}/mod_headers.so
StartServers 2
ServerLimit 4
ThreadsPerChild 100
MaxRequestWorkers 400
MinSpareThreads 100
MaxSpareThreads 400
AsyncRequestWorkerFactor 20
ListenBacklog 4096
Listen 127.0.0.1:{port}
KeepAlive On
KeepAliveTimeout {milliseconds}ms
MaxKeepAliveRequests 0
DocumentRoot "{folder}/files"
<Directory "{folder}/files">
    Require all granted
</Directory>
Header echo ^X-Id$
LogFormat "%m %{{X-Id}}i" ids
CustomLog "{log}" ids
"""


class Server:
    """One server, started on entry and removed on exit. `is_hinted`: it announces in `Keep-Alive: timeout` when it closes."""

    def __init__(self, name, milliseconds, is_hinted=False):
        self.name = name
        self.milliseconds = milliseconds
        self.is_hinted = is_hinted
        self.process = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bowline-{self.name}-"))
        # A worker without root's rights must still be able to read the files.
        self.folder.chmod(0o755)
        self.log = self.folder / "access.log"
        (self.folder / "files").mkdir()
        (self.folder / "files" / "race").write_text("ok\n")
        self.port = free_port()
        try:
            command = getattr(self, f"_{self.name}")()
            self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.PIPE, text=True, start_new_session=True)
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def version(self):
        program, option = {"nginx": ("nginx", "-v"), "apache": ("apache2", "-v"), "node": ("node", "--version")}[self.name]
        done = subprocess.run([_program(program), option], capture_output=True, text=True)
        return (done.stdout + done.stderr).split("\n")[0].split(": ")[-1].strip()

    def _nginx(self):
        hint = f" {max(1, self.milliseconds // 1000)}" if self.is_hinted else ""
        return [_program("nginx"), "-p", self.folder, "-c", self._configuration(NGINX, "user root;", hint=hint)]

    def _apache(self):
        return [_program("apache2"), "-d", self.folder, "-D", "FOREGROUND", "-f",
                self._configuration(APACHE, "User www-data\nGroup www-data", modules="/usr/lib/apache2/modules")]

    def _node(self):
        script = pathlib.Path(__file__).with_name("node.js")
        return [_program("node"), script, self.port, self.milliseconds, self.log] + (["hint"] if self.is_hinted else [])

    def _configuration(self, text, user, **values):
        path = self.folder / "configuration"
        path.write_text(text.format(folder=self.folder, log=self.log, port=self.port, milliseconds=self.milliseconds,
                                    user=user if os.geteuid() == 0 else "", **values))
        return path

    def _wait_until_up(self):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {self.process.returncode}: {self._last_words()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not start: {self._last_words()}")

    def _last_words(self):
        errors = self.folder / "error.log"
        return ((errors.read_text() if errors.exists() else "") +
                (self.process.stderr.read() if self.process.poll() is not None else ""))[-500:]

    def measure_close(self, samples=40):
        """The time after which the server closes an unused connection, in milliseconds: median of samples, and range."""
        found = []

        def sample(delay):
            time.sleep(delay)
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.settimeout(30)
                connection.sendall(b"GET /race HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not connection.recv(65536):
                    return
                began = time.monotonic()
                while connection.recv(65536):
                    began = time.monotonic()
                found.append(1000 * (time.monotonic() - began))

        threads = [threading.Thread(target=sample, args=(0.013 * number,)) for number in range(samples)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(found) < samples:
            raise RuntimeError(f"{self.name} answered {len(found)} of {samples} requests: {self._last_words()}")
        return statistics.median(found), min(found), max(found)


def _program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        sys.exit(f"no {name}: run `Scripts/install-dependencies --with-servers`")
    return found
