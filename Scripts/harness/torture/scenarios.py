"""The work of the tool while a system call fails, and the check of its result."""

import contextlib
import gzip
import hashlib
import itertools
import json
import pathlib

from harness.http2.servers import Servers
from harness.scripted_server import ScriptedServer

SMALL = b"the quick brown fox jumps over the lazy dog\n" * 20
LARGE = bytes(i * 7 % 251 for i in range(300_000))
# Short, so that a call whose event was lost ends at its timeout and not as a hang.
LIMITS = ["--connect-timeout", "2", "--head-timeout", "2", "--body-idle-timeout", "2", "--timeout", "5"]


def digest(body):
    return hashlib.sha256(body).hexdigest()


class Nginx(Servers):
    """The nginx of the HTTP/2 checks, without the other servers."""

    def __enter__(self):
        try:
            self._prepare()
            self.start("nginx")
        except BaseException:
            self.__exit__()
            raise
        return self


class Scenario:
    """`arguments(key)` returns the tool's arguments for one run; `bodies` are the expected bodies of its requests, in order."""

    def __init__(self, name, arguments, bodies, files=()):
        self.name = name
        self.arguments = arguments
        self.bodies = bodies
        self.files = files


class World:
    """The servers and files of all scenarios, as a context manager."""

    def __init__(self, folder, has_names):
        self.folder = pathlib.Path(folder)
        self.has_names = has_names
        self.received = {}
        self._keys = itertools.count()
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self.plain = self._stack.enter_context(ScriptedServer(self._serve))
        self.nginx = self._stack.enter_context(Nginx(large=1024))
        self.upload = self.folder / "upload"
        self.upload.write_bytes(LARGE)
        authority = self.nginx.folder / "ca.pem"
        file = (self.nginx.folder / "files" / "1k").read_bytes()
        tls, port = ["--cacert", str(authority)], self.plain.port
        secure = f"https://localhost:{self.nginx.ports['nginx']}/1k"
        self.scenarios = [
            Scenario("get", lambda key: [self.plain.url(f"/get/{key}")], [SMALL]),
            Scenario("get-tls", lambda key: ["--http1", *tls, secure], [file], files=[authority]),
            Scenario("get-http2", lambda key: ["--http2", *tls, secure], [file], files=[authority]),
            Scenario("upload", lambda key: ["-X", "POST", "--data-file", str(self.upload), self.plain.url(f"/upload/{key}")],
                     [digest(LARGE).encode()], files=[self.upload]),
            Scenario("reuse-gzip", lambda key: ["-n", "2", self.plain.url(f"/gzip/{key}/1"),
                                                self.plain.url(f"/gzip/{key}/2")], [SMALL, SMALL]),
        ]
        if self.has_names:
            self.scenarios.append(
                Scenario("name", lambda key: [f"http://torture.example:{port}/get/{key}"], [SMALL]))
        return self

    def __exit__(self, *_):
        self._stack.close()

    def command(self, scenario, attempts):
        """The tool's arguments for one more run, and the key that marks this run's requests on the server."""
        key = str(next(self._keys))
        return ["request", "--json", "--max-attempts", str(attempts), *LIMITS, *scenario.arguments(key)], key

    def _serve(self, connection):
        while request := connection.read_request():
            if request.target.startswith("/gzip/"):
                connection.reply(gzip.compress(SMALL), fields=["Content-Encoding: gzip"])
            elif request.target.startswith("/upload/"):
                received = digest(request.body)
                self.received.setdefault(request.target, []).append(received)
                # Does not keep the bodies of thousands of runs.
                request.body = b""
                connection.reply(received.encode())
            else:
                connection.reply(SMALL)

    def verdict(self, scenario, key, outcome):
        """`correct`, `error`, `trap` or `violation`, and a text about it."""
        executed = self.received.get(f"/upload/{key}", [])
        if len(executed) > 1:
            return "violation", f"the POST was executed {len(executed)} times"
        if executed not in ([], [digest(LARGE)]):
            return "violation", "the server got another body than was sent"
        if outcome.status is None:
            return "violation", f"hang: killed after {outcome.seconds:.0f} s"
        if outcome.status < 0 or "Fatal error" in outcome.stderr:
            return "trap", f"status {outcome.status}: {_first(outcome.stderr, 'Fatal error')}"
        if outcome.status == 0:
            problems = self._incorrect(scenario, outcome)
            return ("violation", f"exit 0, but {problems}") if problems else ("correct", "")
        said = outcome.stderr.strip() or _errors(outcome.stdout)
        if not said or outcome.status not in (1, 64):
            return "violation", f"exit {outcome.status}: {said or 'without a word'}"
        return "error", said

    def _incorrect(self, scenario, outcome):
        try:
            lines = [json.loads(line) for line in outcome.stdout.splitlines()]
        except ValueError as error:
            return f"the output is not JSON: {error}"
        answers = sorted((line for line in lines if "index" in line), key=lambda line: line["index"])
        if [line.get("status") for line in answers] != [200] * len(scenario.bodies):
            return f"the statuses are {[line.get('status') for line in answers]}"
        if [line.get("sha256") for line in answers] != [digest(body) for body in scenario.bodies]:
            return "a body is not what the server sent"
        return None


def _errors(stdout):
    """The errors in the tool's JSON; empty if there are none."""
    named = []
    for line in stdout.splitlines():
        with contextlib.suppress(ValueError):
            error = json.loads(line).get("error")
            if error and error.get("code") and error.get("message"):
                named.append(f"{error['code']}: {error['message']}")
    return "; ".join(named)


def _first(text, mark):
    lines = [line for line in text.splitlines() if mark in line] or text.strip().splitlines() or ["no message"]
    return lines[0][:300]
