"""nghttpd, Node, and httpbin under Python servers, which answer without the origin."""

import importlib.metadata
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

from harness.interop.contents import SLOW_PAUSE, SLOW_PIECES
from harness.interop.server import Server, Unavailable

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = ["httpbin==0.10.4", "gunicorn==27.0.1", "waitress==3.0.2", "hypercorn==0.18.0"]


class Nghttpd(Server):
    name = "nghttpd"
    programs = ("nghttpd",)
    version_arguments = ("--version",)
    protocols = ("2",)
    lacks = {
        "gzip": "no compression",
        "redirects": "no redirects",
        "slow answers": "files only",
        "reload": "no reload",
        "drain": "no graceful end",
    }
    # Its answers have no length.
    targets = {"/chunked": "/pieces"}

    def commands(self):
        stage = self.stage.folder
        return [[self.program, "-a", "127.0.0.1", "--echo-upload", "--no-content-length", "-d", self.contents.folder,
                 self.tls_port, stage / "server.key", stage / "server.pem"]]

    def receipt(self, name):
        """nghttpd sends the upload back."""
        return self.contents.sha256[name]


class Node(Server):
    name = "Node"
    programs = ("node", "nodejs")
    version_arguments = ("--version",)
    lacks = {"reload": "no reload"}

    def prepare(self):
        shutil.copy(pathlib.Path(__file__).with_name("server.js"), self.folder / "server.js")

    def commands(self):
        stage = self.stage.folder
        return [[self.program, self.folder / "server.js", self.contents.folder, self.plain_port, self.tls_port,
                 stage / "server.key", stage / "server.pem", SLOW_PIECES, int(SLOW_PAUSE * 1000)]]


class Packages:
    """The packages from PyPI, in their own folder."""

    def __init__(self, folder):
        self.folder = folder
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
        self._process = subprocess.Popen([*map(str, command), *PACKAGES], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True)
        self._errors = None
        self._lock = threading.Lock()

    def wait(self):
        with self._lock:
            if self._errors is None:
                self._errors = self._process.communicate(timeout=300)[1]
        if self._process.returncode != 0:
            raise Unavailable(f"pip cannot install {', '.join(PACKAGES)}: {self._errors[-1000:]}")

    def stop(self):
        self._process.kill()
        self._process.wait()

    def version(self, name):
        self.wait()
        return next(iter(importlib.metadata.distributions(name=name, path=[str(self.folder)]))).version


class HTTPBin(Server):
    """A Python server with httpbin, and the targets of the table beside it: application.py."""

    package = ""
    drops_rights = False
    # These targets belong to httpbin.
    targets = {
        "/redirect": "/redirect-to?status_code=302&url=/redirect-to%3Fstatus_code%3D301%26url%3D%2F1k",
        "/again": "/redirect-to?status_code=307&url=/upload",
    }

    def __enter__(self):
        self.stage.packages.wait()
        return super().__enter__()

    def environment(self):
        return {"PYTHONPATH": f"{self.stage.packages.folder}:{SCRIPTS}", "INTEROP_FILES": str(self.contents.folder),
                "PYTHONDONTWRITEBYTECODE": "1"}

    def version(self):
        return f"{self.stage.packages.version(self.package)} with httpbin {self.stage.packages.version('httpbin')}"

    def _find(self):
        return sys.executable


class Gunicorn(HTTPBin):
    name = "httpbin, gunicorn"
    package = "gunicorn"
    protocols = ("1.1",)
    reload_signal = signal.SIGHUP
    options = {"redirects": ["--idempotent"]}
    notes = {"redirects": "gunicorn closes the connection when the application answers without reading the request's body, "
                          "although the response says `Connection: keep-alive`. A POST that follows the 307 on that connection "
                          "fails as `connectionClosed`. With `--idempotent`, as here, it is sent again."}

    def commands(self):
        """One process for each port: its TLS options apply to all ports of a process."""
        stage = self.stage.folder
        return [self._command(self.plain_port),
                self._command(self.tls_port, "--certfile", stage / "server.pem", "--keyfile", stage / "server.key")]

    def _command(self, port, *more):
        return [self.program, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread",
                "--threads", "16", "--keep-alive", "30", "--timeout", "120", "--log-level", "warning", *more,
                "harness.interop.application:app"]


class Waitress(HTTPBin):
    name = "httpbin, waitress"
    package = "waitress"
    protocols = ("1.1",)
    lacks = {"tls": "no TLS", "reload": "no reload", "drain": "no graceful end"}

    def commands(self):
        return [[self.program, "-m", "waitress", f"--listen=127.0.0.1:{self.plain_port}", "--threads=16",
                 "--channel-timeout=60", f"--max-request-body-size={4 << 30}", "harness.interop.application:app"]]


class Hypercorn(HTTPBin):
    name = "httpbin, hypercorn"
    package = "hypercorn"
    sends_no_continue = ("2",)
    cuts_off = ("2",)
    notes = {
        "continue": "Over HTTP/2 Hypercorn sends no `100 Continue`. The tool sends the body after a second.",
        "restart": "Hypercorn ends an HTTP/2 connection after 1,000 requests: it accepts the 1,001st, closes its own side, and can no "
                   "longer write the response. `timeouts.responseHead` ends that request. For this row Hypercorn runs with a "
                   "limit of 1,000,000 requests.",
        "drain": "Over HTTP/2 Hypercorn closes the connection before the end of the last response. The tool reports this response "
                 "as `incompleteBody`, although all its bytes arrived.",
    }
    lacks = {"reload": "no reload"}

    def prepare(self):
        (self.folder / "hypercorn.toml").write_text(
            f"wsgi_max_body_size = {4 << 30}\nkeep_alive_max_requests = 1_000_000\n")

    def commands(self):
        stage = self.stage.folder
        return [[self.program, "-m", "hypercorn", "--config", self.folder / "hypercorn.toml", "--workers", "0",
                 "--bind", f"127.0.0.1:{self.tls_port}", "--insecure-bind", f"127.0.0.1:{self.plain_port}",
                 "--certfile", stage / "server.pem", "--keyfile", stage / "server.key", "--keep-alive", "60",
                 "--graceful-timeout", "10", "wsgi:harness.interop.application:app"]]
