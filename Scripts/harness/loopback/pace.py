"""Requests that begin when they are due, whether or not earlier ones have ended."""

import pathlib
import tempfile
import threading

from harness import tool
from harness.loopback.expect import all_succeeded, equal
from harness.scripted_server import ScriptedServer


def begins_while_others_wait(path):
    """No request is answered before all 20 have arrived. Workers would wait for the first response for ever."""
    together = threading.Barrier(20)

    def script(connection):
        while connection.read_request():
            together.wait(10)
            connection.reply()

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "-n", "20", "--pace", "100", "--json"])
        problems = all_succeeded(run, 20) + server.broken
        arrivals = [request.at for request in server.requests]
        took = arrivals[-1] - arrivals[0]
        # The last request is due 0.19 s after the first.
        if not 0.15 <= took <= 2:
            problems.append(f"the last request came {took:.3f} s after the first, planned were 0.19 s")
        slowest = max(line["milliseconds"] for line in run.lines)
        if slowest < 150:
            problems.append(f"the first request waited for the last, and is reported with {slowest} ms")
        return problems, f"20 requests in flight, begun within {took:.2f} s"


def shutdown(path):
    """A shutdown ends the loop; the request in flight ends, and the others do not begin."""
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "-n", "1000", "--pace", "0.1", "--shutdown-after", "0.3", "--json"])
        problems = equal("exit status", run.status, 0) + server.broken
        problems += equal("requests", (len(server.requests), len(run.lines)), (1, 1))
        problems += equal("succeeded", run.summary.get("succeeded"), 1)
        if run.seconds > 5:
            problems.append(f"the run took {run.seconds:.1f} s, although the shutdown began after 0.3 s")
        return problems, f"1 of 1000 requests, {run.seconds:.1f} s"


def targets(path):
    """A file gives each URL its method."""
    with ScriptedServer() as server, tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "targets"
        file.write_text(f"# two\nPOST {server.url('/a')}\n{server.url('/b')}\n")
        run = tool.run(path, ["request", "--targets", str(file), "--json"])
        problems = all_succeeded(run, 2) + server.broken
        sent = [(request.method, request.target, request.field("content-length")) for request in server.requests]
        problems += equal("requests", sent, [("POST", "/a", "0"), ("GET", "/b", "")])
        return problems, f"{sent}"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("pace: 20 requests begin, although none is answered before the last", begins_while_others_wait),
        ("pace: a shutdown ends the loop between two requests", shutdown),
        ("pace: --targets sends the methods and URLs of a file", targets),
    ]]
