"""Servers that are slow or silent: which timeout ends the wait, when, and what the error says."""

import socket
import time

from harness import tool
from harness.loopback.expect import equal, failed_with
from harness.scripted_server import ScriptedServer


def expect_timeout(path, script, options, code, progress, seconds):
    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "--json", *options])
        problems = failed_with(run, 0, [code], progress) + server.broken
        took = run.lines[0].get("milliseconds", 0) / 1000 if run.lines else 0
        if not seconds - 0.05 <= took <= seconds + 0.4:
            problems.append(f"it took {took:.2f} s, not {seconds} s")
        error = (run.errors() or [{}])[0]
        return problems, f"{error.get('code')} in phase {error.get('phase')} after {took:.2f} s"


def silent(connection):
    connection.read_request()
    connection.wait_for_end()


def head_timeout(path):
    return expect_timeout(path, silent, ["--head-timeout", "0.5"], "responseHeadTimeout", "ambiguous", 0.5)


def total_timeout(path):
    return expect_timeout(path, silent, ["--timeout", "0.7"], "deadlineExceeded", "ambiguous", 0.7)


def total_timeout_in_body(path):
    def trickle(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not connection.ended:
            connection.send(b"x")
            time.sleep(0.05)

    return expect_timeout(path, trickle, ["--timeout", "0.7", "--body-idle-timeout", "5"], "deadlineExceeded",
                          "responseStarted", 0.7)


def body_idle_timeout(path):
    def stall(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
        connection.wait_for_end()

    return expect_timeout(path, stall, ["--body-idle-timeout", "0.5"], "bodyIdleTimeout", "responseStarted", 0.5)


def slow_but_steady_body(path):
    """Gaps shorter than the body's idle timeout are allowed, however long the whole body takes."""
    def trickle(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            time.sleep(0.15)
            connection.send(b"x")
        connection.wait_for_end()

    with ScriptedServer(trickle) as server:
        run = tool.run(path, ["request", server.url(), "--json", "--body-idle-timeout", "0.5"])
        problems = equal("exit status", run.status, 0) + server.broken
        problems += equal("bytes", [line.get("bytes") for line in run.lines], [10])
        return problems, f"10 bytes over {run.seconds:.1f} s with --body-idle-timeout 0.5"


def connect_timeout(path):
    """A listener whose queue is full: the kernel does not answer another SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(8):
            probe = socket.socket()
            probe.setblocking(False)
            probe.connect_ex(("127.0.0.1", port))
            waiting.append(probe)
        try:
            run = tool.run(path, ["request", f"http://127.0.0.1:{port}/", "--connect-timeout", "0.5", "--json"])
        finally:
            for probe in waiting:
                probe.close()
    problems = failed_with(run, 0, ["connectTimeout"], "neverSent")
    took = run.lines[0].get("milliseconds", 0) / 1000 if run.lines else 0
    if not 0.45 <= took <= 0.9:
        problems.append(f"it took {took:.2f} s, not 0.5 s")
    return problems, f"{[error.get('code') for error in run.errors()]} after {took:.2f} s"


def handshake_timeout(path):
    """A server that accepts the connection and then sends nothing to a TLS client."""
    with ScriptedServer(lambda connection: connection.wait_for_end()) as server:
        run = tool.run(path, ["request", f"https://127.0.0.1:{server.port}/", "--insecure", "--connect-timeout", "0.5",
                              "--json"])
        return failed_with(run, 0, ["connectTimeout"], "neverSent"), f"{[e.get('code') for e in run.errors()]}"


def refused(path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        run = tool.run(path, ["request", f"http://127.0.0.1:{unused.getsockname()[1]}/", "--json"])
    problems = failed_with(run, 0, ["connectionRefused"], "neverSent")
    if run.seconds > 2:
        problems.append(f"a refused connection took {run.seconds:.1f} s to fail")
    return problems, f"{[error.get('code') for error in run.errors()]} after {run.seconds:.2f} s"


def not_tls(path):
    def script(connection):
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        # Waits: a reset could overtake the bytes already sent.
        connection.wait_for_end()

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", f"https://127.0.0.1:{server.port}/", "--insecure", "--json"])
        return failed_with(run, 0, ["tlsHandshakeFailed"], "neverSent"), f"{[e.get('code') for e in run.errors()]}"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("time: no response head within --head-timeout", head_timeout),
        ("time: --timeout while waiting for the head", total_timeout),
        ("time: --timeout in the middle of a body", total_timeout_in_body),
        ("time: a body that stalls for --body-idle-timeout", body_idle_timeout),
        ("time: a slow but steady body is left alone", slow_but_steady_body),
        ("time: --connect-timeout against a full listen queue", connect_timeout),
        ("time: --connect-timeout covers the TLS handshake", handshake_timeout),
        ("failure: a refused connection fails at once, with the cause", refused),
        ("failure: a server that does not speak TLS", not_tls),
    ]]
