"""Runs the tool against a scripted peer, and returns the faults of the result."""

import random
import tempfile

from harness import tool as tools
from harness.http2 import ledger, peer as p

ONE = ("--max-attempts", "1")
POST = ("-X", "POST", "-d", "x")


class Runner:
    """Makes the checks for a tool, with or without TLS to the peer.

    `certificates`: a folder with ca.pem and both.pem; None: without TLS.
    """

    def __init__(self, path, certificates=None):
        self.path = path
        self.certificates = certificates

    def _arguments(self, port, arguments):
        """The complete command line: each request of the run has its own target."""
        count = int(arguments[arguments.index("-n") + 1]) if "-n" in arguments else 1
        stamp = [item for name, value in ledger.STAMP for item in ("-H", f"{name}: {value}")]
        if self.certificates:
            protocol, scheme = ["--http2", "--cacert", str(self.certificates / "ca.pem")], "https"
        else:
            protocol, scheme = ["--h2c"], "http"
        urls = [f"{scheme}://127.0.0.1:{port}{target}" for target in ledger.targets(count)]
        return ["request", "--json", *protocol, *stamp, *arguments, *urls]

    def scenario(self, name, script, *arguments, expect, seconds=30):
        """Name and check. The check collects the problems of `expect(run, log)` and the ledger's problems of every request."""
        def check():
            with p.peer(script, self.certificates) as (port, log):
                run = tools.run(self.path, self._arguments(port, arguments), seconds)
                log.settle()
                problems = list(log.problems) + ledger.problems(run.arguments, run.lines, log.requests) + expect(run, log)
                kinds = {f"{e['code']}/{e['progress']}" for e in run.errors()}
                figures = f"{len(run.lines) - len(run.errors())} answered, {log.connections} connections"
                figures += f", {', '.join(sorted(kinds))}" if kinds else ""
                figures += f", {run.seconds:.1f} s"
                if problems:
                    problems += [str(e)[:300] for e in run.errors()[:2]] + [run.stderr[-200:]]
                return problems, figures
        return name, check


def all_answered(count, connections=None, requests=None):
    def expect(run, log):
        problems = []
        if run.statuses() != [200] * count:
            problems.append(f"statuses {run.statuses()[:8]}, not {count} times 200")
        if connections is not None and log.connections != connections:
            problems.append(f"{log.connections} connections, not {connections}")
        if requests is not None and len(log.requests) != requests:
            problems.append(f"{len(log.requests)} requests came, not {requests}")
        return problems
    return expect


def failed(code, progress, text="", requests=None, resets=None, within=10):
    def expect(run, log):
        problems = []
        errors = run.errors()
        if not errors or any(e["code"] != code or e["progress"] != progress for e in errors):
            problems.append(f"expected {code}/{progress}")
        if text and not all(text in e["message"] for e in errors):
            problems.append(f"the message does not say {text!r}")
        if requests is not None and len(log.requests) != requests:
            problems.append(f"{len(log.requests)} requests came, not {requests}")
        if resets is not None and [code for _, _, code in log.resets] != resets:
            problems.append(f"resets {log.resets}, not {resets}")
        if run.seconds > within:
            problems.append(f"took {run.seconds:.1f} s")
        return problems
    return expect


def large(size):
    """Arguments for a POST of `size` bytes from a file, because command lines have a limit. No two parts of it are alike."""
    file = tempfile.NamedTemporaryFile(prefix="bowline-http2-body-")
    file.write(random.Random(size).randbytes(size))
    file.flush()
    _files.append(file)
    return "-X", "POST", "--data-file", file.name


_files = []
