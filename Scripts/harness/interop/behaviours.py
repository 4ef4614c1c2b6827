"""The rows of the table. Each drives the tool against a server over one protocol and returns the problems.

A behaviour returns (problems, figures). A problem is a pair: a word for the cell, and a sentence for the text below the table.
"""

import contextlib
import gzip
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import tool
from harness.interop.contents import SLOW_PAUSE, SLOW_PIECES
from harness.interop.wire import Wire

PEAK_MIB = 64
WORKERS = 8
INTERVAL = 0.02
# Without `100 Continue` the tool sends the body after this many milliseconds.
CONTINUE_TIMEOUT = 1000


class Lacking(Exception):
    """The server does not support the behaviour, as expected; the tool reacted correctly."""


class Behaviour:
    """A row: its key, its label, its check, and the protocols to run it with (None: all of the server; 1: the first)."""

    def __init__(self, key, words, check, protocols=None):
        self.key = key
        self.words = words
        self.check = check
        self._protocols = protocols

    def protocols(self, server):
        if self._protocols == 1:
            return server.protocols[:1]
        return [protocol for protocol in server.protocols if protocol in (self._protocols or server.protocols)]


class Behaviours:
    def __init__(self, path, contents, is_short):
        self.path = path
        self.contents = contents
        self.is_short = is_short
        amount = "1 GiB" if contents.large == 1 << 30 else f"{contents.large >> 20} MiB"
        self.rows = [
            Behaviour("reuse", "connection reuse", self.reuse),
            Behaviour("tls", "TLS, verified", self.tls, protocols=1),
            Behaviour("http2", "HTTP/2 by ALPN, streams", self.http2, protocols=("2",)),
            Behaviour("gzip", "gzip answers", self.gzip),
            Behaviour("chunked down", "chunked down", self.chunked_down),
            Behaviour("chunked up", "chunked up", self.chunked_up),
            Behaviour("redirects", "redirects", self.redirects),
            Behaviour("continue", "Expect: 100-continue", self.expect),
            Behaviour("large down", f"{amount} down", self.large_down),
            Behaviour("large up", f"{amount} up", self.large_up),
            Behaviour("slow answers", "slow answers", self.slow),
            Behaviour("reload", "reload under load", self.reload),
            Behaviour("restart", "restart under load", self.restart),
            Behaviour("drain", "drain", self.drain),
        ]

    def reuse(self, server, protocol):
        with self._wire(server, protocol) as wire:
            run = self._run(server, protocol, "/1k", "-n", "2", port=wire.port)
        problems = self._all(run, 2, "1k")
        connections = run.connections()
        if len(set(connections)) != 1 or run.summary.get("pool", {}).get("opened") != 1:
            problems.append(("not reused", f"the tool says connections {connections}"))
        if wire.accepted != 1:
            problems.append(("not reused", f"the server saw {wire.accepted} connections"))
        return problems, f"2 requests, {wire.accepted} connection"

    def tls(self, server, protocol):
        options = ["--http1" if protocol == "1.1" else "--http2"]
        trusted = ["--cacert", server.stage.authority]
        run = self._request(*options, *trusted, f"https://localhost:{server.tls_port}/1k")
        problems = self._all(run, 1, "1k")
        for case, host, trust in (("wrong name", "127.0.0.1", trusted), ("unknown authority", "localhost", [])):
            refused = self._request(*options, *trust, f"https://{host}:{server.tls_port}/1k")
            codes = [error.get("code") for error in refused.errors()]
            if refused.status != 1 or codes != ["tlsHandshakeFailed"]:
                problems.append(("not refused", f"{case}: exit {refused.status}, {codes}, {refused.statuses()}"))
        return problems, "accepted; refused with the wrong name and with an unknown authority"

    def http2(self, server, protocol):
        """No option asks for HTTP/2: the handshake negotiates it. lighttpd allows eight streams at a time."""
        count = 40
        run = self._request("--cacert", server.stage.authority, f"https://localhost:{server.tls_port}/1k", "-n",
                            str(count), "-c", "8")
        problems = self._all(run, count, "1k")
        spoken = {line.get("protocol") for line in run.lines}
        streams = {str(line.get("connection", {}).get("stream")) for line in run.lines}
        opened = run.summary.get("pool", {}).get("opened")
        if spoken != {"HTTP/2"}:
            problems.append(("not HTTP/2", f"spoken: {sorted(map(str, spoken))}"))
        if len(streams) != count or opened != 1:
            problems.append(("streams", f"{len(streams)} streams on {opened} connections, expected {count} on 1"))
        return problems, f"{len(streams)} streams, {opened} connection"

    def gzip(self, server, protocol):
        run = self._run(server, protocol, "/text.txt")
        problems = self._all(run, 1, "text.txt")
        with tempfile.TemporaryDirectory(dir=server.stage.folder) as folder:
            file = Path(folder) / "body"
            coded = self._run(server, protocol, "/text.txt", "--no-decompress", "-H", "Accept-Encoding: gzip", "-o",
                              str(file))
            body = file.read_bytes() if file.exists() else b""
        if body[:2] != b"\x1f\x8b" or gzip.decompress(body) != (self.contents.folder / "text.txt").read_bytes():
            problems.append(("not gzip", f"{len(body)} bytes came that are not the text in gzip; {coded.tail()}"))
        return problems, f"{self.contents.size('text.txt')} bytes in {len(body)}"

    def chunked_down(self, server, protocol):
        with self._wire(server, protocol) as wire:
            run = self._run(server, protocol, "/chunked", port=wire.port)
        problems = self._all(run, 1, "pieces")
        if protocol == "1.1" and "transfer-encoding: chunked" not in wire.conversations[0].head(False):
            problems.append(("not chunked", f"the answer's head: {wire.conversations[0].head(False)!r}"))
        return problems, f"{self.contents.size('pieces')} bytes"

    def chunked_up(self, server, protocol):
        """A PUT: over HTTP/2 lighttpd answers 411 to a POST without a length."""
        with self._wire(server, protocol) as wire, self._pipe(server, "pieces") as pipe:
            run = self._run(server, protocol, "/upload", "-X", "PUT", "--data-file", pipe, port=wire.port)
        problems = self._all(run, 1, receipt=server.receipt("pieces"))
        if protocol == "1.1" and "transfer-encoding: chunked" not in wire.conversations[0].head(True):
            problems.append(("not chunked", f"the request's head: {wire.conversations[0].head(True)!r}"))
        return problems, f"{self.contents.size('pieces')} bytes, hashed by the server"

    def redirects(self, server, protocol):
        """302, then 301, to an absolute URL if the server can send one; 307 with the body sent again."""
        run = self._run(server, protocol, "/redirect", "--follow", "5")
        problems = self._all(run, 1, "1k")
        file = ["--data-file", str(self.contents.folder / server.repeated)]
        again = self._run(server, protocol, "/again", "-X", "POST", *file, "--follow", "5",
                          *server.options.get("redirects", []))
        problems += self._all(again, 1, receipt=server.receipt(server.repeated))
        followed = [line.get("redirects") for line in run.lines + again.lines]
        if followed != [2, 1]:
            problems.append(("not followed", f"redirects followed: {followed}, expected 2 and 1"))
        return problems, "302 and 301 followed, 307 with the body"

    def expect(self, server, protocol):
        file = ["--data-file", str(self.contents.folder / "1k")]
        with self._wire(server, protocol) as wire:
            run = self._run(server, protocol, "/upload", "-X", "POST", *file, "-H", "Expect: 100-continue",
                            port=wire.port)
        problems = self._all(run, 1, receipt=server.receipt("1k"))
        took = run.lines[0].get("milliseconds", 0) if run.lines else 0
        if took >= CONTINUE_TIMEOUT and protocol in server.sends_no_continue and not problems:
            raise Lacking("sends no 100")
        if took >= CONTINUE_TIMEOUT:
            problems.append(("no 100", f"the body was sent after {took:.0f} ms, without `100 Continue`"))
        if protocol == "1.1":
            said = wire.conversations[0].said
            head, _, early = said[0][1].partition(b"\r\n\r\n")
            if early or len(said) < 2 or said[1][0] or not said[1][1].startswith(b"HTTP/1.1 100"):
                problems.append(("no 100", f"on the wire: {[(side, data[:60]) for side, data in said[:3]]}"))
        return problems, f"the body after `100 Continue`, {took:.0f} ms"

    def large_down(self, server, protocol):
        run = self._run(server, protocol, "/large", "-o", "/dev/null", "--timeout", "500", seconds=500)
        return self._all(run, 1, "large") + self._memory(run), self._bulk(run)

    def large_up(self, server, protocol):
        file = str(self.contents.folder / "large")
        run = self._run(server, protocol, "/upload", "-X", "POST", "--data-file", file, "--timeout", "500",
                        "--head-timeout", "300", seconds=500)
        return self._all(run, 1, receipt=server.receipt("large")) + self._memory(run), self._bulk(run)

    def slow(self, server, protocol):
        """The whole response takes longer than the timeout for a pause in the body."""
        run = self._run(server, protocol, "/slow", "--body-idle-timeout", "1")
        problems = self._all(run, 1, "pieces")
        took = run.lines[0].get("milliseconds", 0) if run.lines else 0
        if took < 1000 * SLOW_PAUSE * (SLOW_PIECES - 2):
            problems.append(("not slow", f"it took {took:.0f} ms only"))
        return problems, f"{SLOW_PIECES} pieces in {took:.0f} ms"

    def reload(self, server, protocol):
        """Reloads while paced GETs run. The client sends lost requests again, and none may fail."""
        count = 3 if self.is_short else 10
        with self._load(server, protocol) as process:
            for _ in range(count):
                server.reload()
                time.sleep(0.2)
                self._await_more(process)
            return self._loaded(process, server, protocol, f"{count} reloads")

    def restart(self, server, protocol):
        """Kills the server with all its requests in flight, and starts it again while paced GETs run.

        Only requests whose response had begun may fail: the client cannot send them again, and their errors must say so.
        """
        count = 1 if self.is_short else 3
        with self._load(server, protocol) as process:
            for _ in range(count):
                server.kill()
                server.start()
                self._await_more(process)
                # A pause in which the retry budget recovers.
                time.sleep(0 if self.is_short else 4)
            return self._loaded(process, server, protocol, f"killed {count} times", begun=WORKERS * count)

    def drain(self, server, protocol):
        """Half of the GETs are in flight at the graceful end; the others wait until the server runs again."""
        with self._running(server, protocol, "/slow", "-n", str(2 * WORKERS), "-c", str(WORKERS),
                           "--max-attempts", "15") as process:
            wanted = WORKERS if protocol == "1.1" else 1
            self._wait(lambda: server.in_use(protocol) >= wanted, "no slow GET came")
            time.sleep(0.5)
            ended = server.drain()
            server.start()
            run = process.wait(120)
        failed = {error.get("progress") for error in run.errors()}
        if failed == {"responseStarted"} and protocol in server.cuts_off:
            raise Lacking("cuts responses off")
        problems = self._all(run, 2 * WORKERS, "pieces")
        if not ended:
            problems.append(("did not end", "the server did not end in time after what was in flight"))
        cut = [line for line in run.lines[:WORKERS] if (line.get("attempts"), line.get("resends")) != (1, 0)]
        if cut:
            problems.append(("cut off", f"{len(cut)} of {WORKERS} in flight were sent more than once: {cut[0]}"))
        return problems, f"{WORKERS - len(cut)} of {WORKERS} in flight finished, the later ones after the restart"

    # How the tool runs.

    def _request(self, *arguments, seconds=120):
        return tool.run(self.path, ["request", "--json", *arguments], seconds)

    def _arguments(self, server, protocol, target, port=None):
        options, base = server.arguments(protocol)
        if port:
            base = base.rsplit(":", 1)[0] + f":{port}"
        return [*options, base + server.targets.get(target, target)]

    def _run(self, server, protocol, target, *arguments, port=None, seconds=120):
        return self._request(*self._arguments(server, protocol, target, port), *arguments, seconds=seconds)

    @contextlib.contextmanager
    def _running(self, server, protocol, target, *arguments):
        """The tool while it runs; killed if the check ends before it."""
        process = tool.Process(self.path, ["request", "--json", *self._arguments(server, protocol, target), *arguments])
        try:
            yield process
        finally:
            if process.is_running():
                process.send(signal.SIGKILL)
                process.wait(10)

    @contextlib.contextmanager
    def _load(self, server, protocol):
        """Runs GETs until `_loaded` ends them."""
        with self._running(server, protocol, "/1k", "-n", "1000000", "-c", str(WORKERS), "--interval", str(INTERVAL),
                           "--max-attempts", "15") as process:
            self._await_more(process)
            yield process

    def _await_more(self, process):
        """Waits until all requests in flight, including waiting ones, and at least three more of each worker have ended."""
        last = max(process.ended_requests(), default=0) + 4 * WORKERS
        self._wait(lambda: process.ended_requests().issuperset(range(last)), "the load does not go on")

    def _wait(self, condition, otherwise):
        end = time.monotonic() + 20
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(otherwise)
            time.sleep(0.01)

    def _loaded(self, process, server, protocol, what, begun=0):
        """Ends the load with a signal. `begun` requests may have failed after their responses had begun."""
        process.send(signal.SIGTERM)
        run = process.wait(120)
        if protocol in server.cuts_off:
            self._leave_out_cut_off(run)
        cut = [line for line in run.lines if line.get("error", {}).get("progress") == "responseStarted"]
        if 0 < len(cut) <= begun:
            run.lines = [line for line in run.lines if line not in cut]
            run.status = 0
        # The last request of each worker, which the shutdown refused.
        run.lines = [line for line in run.lines if line.get("error", {}).get("code") != "shuttingDown"]
        problems = self._all(run, len(run.lines), "1k")
        if len(run.lines) < WORKERS * 5 or run.summary.get("succeeded") != len(run.lines):
            problems.append(("no load", f"{len(run.lines)} succeeded by their lines; the summary says {run.summary}"))
        resends = sum(line.get("resends", 0) for line in run.lines)
        retried = sum(1 for line in run.lines if line.get("attempts", 1) > 1)
        return problems, (f"{what}, {len(run.lines) + len(cut)} GETs, {run.summary.get('failed')} failed"
                          + (f" ({len(cut)} after their responses had begun)" if cut else "") +
                          f", {resends} resent, {retried} retried, {run.summary.get('pool', {}).get('opened')} connections")

    @staticmethod
    def _leave_out_cut_off(run):
        """Removes requests that a server cut off because it closes at our GOAWAY: among the last ones, at most one per
        worker."""
        last = run.lines[-2 * WORKERS:]
        cut = [line for line in last if line.get("error", {}).get("code") == "connectionClosed"]
        if 0 < len(cut) <= WORKERS:
            run.lines = [line for line in run.lines if line not in cut]
            run.status = 0

    def _wire(self, server, protocol):
        return Wire(server.port(protocol))

    def _pipe(self, server, name):
        return _Pipe(server.stage.folder, self.contents.folder / name)

    # The checks of every run.

    def _all(self, run, count, name=None, receipt=None):
        """Every request has status 200 and the body of that file, or the server's receipt for the upload."""
        problems = []
        expected = receipt or self.contents.sha256[name]
        bad = [line for line in run.lines if "error" in line or line.get("status") != 200]
        if bad or run.status != 0 or len(run.lines) != count:
            word = bad[0].get("error", {}).get("code") or f"status {bad[0].get('status')}" if bad else "no answer"
            problems.append((word, f"{len(run.lines) - len(bad)} of {count} succeeded; {bad[:1]} {run.tail()}"))
        wrong = [line for line in run.lines if line not in bad and line.get("sha256") != expected]
        if wrong:
            problems.append(("other content", f"{len(wrong)} bodies are not the expected ones: {wrong[0]}"))
        return problems

    def _memory(self, run):
        return [("memory", f"peak {run.peak_mib:.0f} MiB")] if not 0 < run.peak_mib < PEAK_MIB else []

    def _bulk(self, run):
        return f"{self.contents.large >> 20} MiB in {run.seconds:.1f} s, peak {run.peak_mib:.0f} MiB"


class _Pipe:
    """A named pipe that delivers a file: the tool cannot know its length."""

    def __init__(self, folder, file):
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.path = self.folder / "pipe"
        self.file = file

    def __enter__(self):
        os.mkfifo(self.path)
        self.feeder = subprocess.Popen(["sh", "-c", 'exec cat "$1" > "$2"', "sh", str(self.file), str(self.path)],
                                       stderr=subprocess.DEVNULL)
        return str(self.path)

    def __exit__(self, *_):
        self.feeder.kill()
        self.feeder.wait()
        self.path.unlink()
        self.folder.rmdir()
