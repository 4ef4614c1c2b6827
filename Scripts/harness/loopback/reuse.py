"""When connections are kept, for how long, and how many."""

import threading
import time

from harness import tool
from harness.loopback.expect import all_succeeded, closed_by_client, equal
from harness.scripted_server import ScriptedServer


def sequential_requests_share_one(path):
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "-n", "5", "--json"])
        problems = all_succeeded(run, 5) + server.broken
        problems += equal("connections", len(server.connections), 1)
        problems += equal("reused", [line["connection"]["reused"] for line in run.lines], [False] + [True] * 4)
        problems += closed_by_client(server.connections)
        return problems, f"5 requests, {len(server.connections)} connection"


def idle_timeout(path):
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "-n", "2", "--interval", "2", "--idle-timeout", "0.5", "--json"])
        problems = all_succeeded(run, 2) + server.broken
        problems += equal("connections", len(server.connections), 2)
        first = server.connections[0]
        kept = (first.ended_at or 0) - first.answered_at
        if not 0.45 <= kept <= 1.0:
            problems.append(f"the idle connection was closed after {kept:.2f} s, not 0.5 s")
        problems += equal("requests on the first connection", len(first.requests), 1)
        problems += closed_by_client([first])
        reasons = run.summary.get("pool", {}).get("closed", {})
        if reasons.get("idleTimeout", 0) < 1:
            problems.append(f"the summary counts no close for idleTimeout: {reasons}")
        return problems, f"closed by the client {kept:.2f} s after the response, closed: {reasons}"


def maximum_idle(path):
    """Five connections at once, answered one after another. The pool keeps the two that were answered last."""
    together = threading.Barrier(5)

    def script(connection):
        first = True
        while connection.read_request():
            if first:
                together.wait(10)
                time.sleep(0.15 * connection.index)
                first = False
            connection.reply()

    with ScriptedServer(script) as server:
        process = tool.Process(path, ["request", server.url(), "-n", "7", "-c", "5", "--max-idle", "2", "--interval", "2",
                                      "--json"])
        answered = server.wait_for(lambda: len([c for c in server.connections if c.answered_at]) == 5)
        server.wait_for(lambda: len([c for c in server.connections if c.ended]) >= 3, 1)
        time.sleep(0.2)
        ended = [c.index for c in server.connections if c.ended]
        run = process.wait(30)
        problems = all_succeeded(run, 7) + server.broken
        if not answered:
            problems.append("the five requests were not in flight together")
        problems += equal("connections closed while idle", ended, [0, 1, 2])
        problems += equal("connections in all", len(server.connections), 5)
        problems += equal("requests on each connection", sum(len(c.requests) for c in server.connections[:3]), 3)
        problems += closed_by_client(server.connections)
        return problems, f"closed {ended} of 0…4 in the order of their idleness, closed: {run.summary.get('pool', {}).get('closed')}"


def no_pool(path):
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "-n", "5", "--no-pool", "--json"])
        problems = all_succeeded(run, 5) + server.broken
        problems += equal("connections", len(server.connections), 5)
        problems += equal("Connection fields", {r.field("connection").lower() for r in server.requests}, {"close"})
        problems += closed_by_client(server.connections)
        return problems, f"5 requests, {len(server.connections)} connections"


def connection_close(path):
    figures = []
    problems = []
    for fields in (["Connection: close"], ["connection: CLOSE"], ["Connection: x-other, Close"],
                   ["Connection: keep-alive", "Connection: close"]):
        def script(connection, fields=fields):
            connection.read_request()
            connection.reply(fields=fields)
            # The client, not the server, must close.
            connection.wait_for_end()

        with ScriptedServer(script) as server:
            run = tool.run(path, ["request", server.url(), "-n", "3", "--json"])
            case = " + ".join(fields)
            problems += [f"{case}: {p}" for p in all_succeeded(run, 3) + server.broken
                         + equal("connections", len(server.connections), 3) + closed_by_client(server.connections)]
            figures.append(len(server.connections))
    return problems, f"3 requests, {figures} connections in four spellings"


def not_reusable(path):
    """Responses after which a connection cannot be kept, although the server does not announce a close."""
    cases = {
        "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nclean",
        "a body that ends with the connection": b"HTTP/1.1 200 OK\r\n\r\nclean",
    }
    problems = []
    for name, response in cases.items():
        def script(connection, response=response):
            connection.read_request()
            connection.send(response)
            if b"Content-Length" in response:
                connection.wait_for_end()

        with ScriptedServer(script) as server:
            run = tool.run(path, ["request", server.url(), "-n", "2", "--json"])
            problems += [f"{name}: {p}" for p in all_succeeded(run, 2) + server.broken
                         + equal("connections", len(server.connections), 2)]
    return problems, ", ".join(cases)


def keep_alive_timeout(path):
    def script(connection):
        while connection.read_request():
            connection.reply(fields=["Keep-Alive: timeout=2, max=100"])

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "-n", "2", "--interval", "2.5", "--json"])
        problems = all_succeeded(run, 2) + server.broken
        problems += equal("connections", len(server.connections), 2)
        first = server.connections[0]
        kept = (first.ended_at or 0) - first.answered_at
        if not 0.9 <= kept <= 1.5:
            problems.append(f"with `Keep-Alive: timeout=2` the connection was kept for {kept:.2f} s, not 1 s")
        problems += closed_by_client([first])
        return problems, f"`Keep-Alive: timeout=2`: closed {kept:.2f} s after the response"


def maximum_connections(path):
    busy = []
    most = []
    lock = threading.Lock()

    def script(connection):
        while connection.read_request():
            with lock:
                busy.append(connection)
                most.append(len(busy))
            time.sleep(0.02)
            with lock:
                busy.remove(connection)
            connection.reply()

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "-n", "30", "-c", "10", "--max-connections", "3", "--json"])
        problems = all_succeeded(run, 30) + server.broken
        if len(server.connections) > 3 or max(most, default=0) > 3:
            problems.append(f"{len(server.connections)} connections, {max(most)} requests at once; 3 were allowed")
        return problems, f"10 workers, {len(server.connections)} connections, at most {max(most, default=0)} requests at once"


def round_robin(path):
    with ScriptedServer() as one, ScriptedServer() as two:
        run = tool.run(path, ["request", one.url("/a"), two.url("/b"), "-n", "5", "--json"])
        problems = all_succeeded(run, 5) + one.broken + two.broken
        problems += equal("requests", (len(one.requests), len(two.requests)), (3, 2))
        problems += equal("URLs", [line["url"] for line in run.lines],
                          [one.url("/a"), two.url("/b")] * 2 + [one.url("/a")])
        problems += equal("connections", (len(one.connections), len(two.connections)), (1, 1))
        return problems, "5 requests over 2 URLs, one connection each"


def dropped_body(path):
    """The client reads a short unread rest and keeps the connection; if the rest is endless, it closes at once."""
    def script(connection):
        while request := connection.read_request():
            if request.target == "/short":
                connection.reply(body=b"x" * 50_000)
            else:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000)

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url("/short"), "-n", "2", "--drop-body", "--interval", "0.3", "--json"])
        problems = server.broken + equal("connections after short bodies", len(server.connections), 1)
        problems += equal("exit status", run.status, 0)
    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url("/endless"), "-n", "2", "--drop-body", "--interval", "0.3", "--json"])
        problems += server.broken + equal("connections after endless bodies", len(server.connections), 2)
        problems += equal("exit status", run.status, 0)
        if run.seconds > 2:
            problems.append(f"dropping two endless bodies took {run.seconds:.1f} s")
    return problems, f"short: kept, endless: closed, {run.seconds:.1f} s"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("reuse: five requests in a row share one connection", sequential_requests_share_one),
        ("reuse: the idle timeout is seen as a close without a further request", idle_timeout),
        ("reuse: 5 concurrent, then 2 kept with --max-idle 2, the three longest idle closed", maximum_idle),
        ("reuse: --no-pool opens 5 connections for 5 requests", no_pool),
        ("reuse: Connection: close is honoured", connection_close),
        ("reuse: HTTP/1.0 and bodies without an end are not pooled", not_reusable),
        ("reuse: Keep-Alive: timeout=N is honoured as N - 1 s", keep_alive_timeout),
        ("reuse: --max-connections bounds connections; the others wait", maximum_connections),
        ("reuse: URLs take turns, each origin has its own connection", round_robin),
        ("reuse: a dropped body is drained if short, else its connection closes", dropped_body),
    ]]
