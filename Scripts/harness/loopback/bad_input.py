"""Input that the tool refuses before it sends a byte, and the meaning of each exit status."""

import hashlib
import json
import pathlib
import tempfile

from harness import tool
from harness.loopback.expect import all_succeeded, equal, failed_with
from harness.scripted_server import ScriptedServer

USAGE = (64,)
REFUSED = (64, 1)


def refused_cases(server, missing):
    """Name, arguments, accepted exit statuses, a word that the message must contain (in any case)."""
    url = server.url("/")
    port = server.port
    return [
        ("no URL", [], USAGE, "url"),
        ("an unknown option", [url, "--no-such-option"], USAGE, "no-such-option"),
        ("-n 0", [url, "-n", "0"], USAGE, "-n"),
        ("-n of a word", [url, "-n", "many"], USAGE, "many"),
        ("-c 0", [url, "-c", "0"], USAGE, "-c"),
        ("a negative timeout", [url, "--timeout=-1"], REFUSED, "timeout"),
        ("a negative idle timeout", [url, "--idle-timeout=-1"], REFUSED, "idle"),
        ("a timeout of nan", [url, "--timeout", "nan"], REFUSED, "timeout"),
        ("a timeout beyond all bounds", [url, "--timeout", "1e300"], REFUSED, "timeout"),
        ("no connections", [url, "--max-connections", "0"], REFUSED, "connections"),
        ("a negative idle limit", [url, "--max-idle=-1"], REFUSED, "idle"),
        ("an unknown preset", [url, "--preset", "nope"], REFUSED, "preset"),
        ("--http1 with --http2", [url, "--http1", "--http2"], USAGE, "http"),
        ("--http2 without TLS", [url, "--http2"], USAGE, "h2c"),
        ("--follow", [url, "--follow", "101"], REFUSED, "--follow"),
        ("--max-attempts", [url, "--max-attempts", "101"], REFUSED, "--max-attempts"),
        ("--max-attempts 0", [url, "--max-attempts", "0"], REFUSED, "attempts"),
        ("-d with --data-file", [url, "-d", "a", "--data-file", "x"], USAGE, "data"),
        ("--cert without --key", [url, "--cert", missing], REFUSED, "key"),
        ("a data file that is not there", [url, "-X", "POST", "--data-file", missing], REFUSED, "no-such-file"),
        ("a certificate file that is not there", [url, "--cacert", missing], REFUSED, "no-such-file"),
        ("an output that cannot be written", [url, "-o", missing], REFUSED, "no-such-file"),
        ("a word for a URL", ["not-a-url"], REFUSED, "url"),
        ("an unknown scheme", [f"ftp://127.0.0.1:{port}/"], REFUSED, "scheme"),
        ("user information", [f"http://user:secret@127.0.0.1:{port}/"], REFUSED, "user"),
        ("a port out of range", ["http://127.0.0.1:99999/"], REFUSED, "port"),
        ("an open bracket", [f"http://[::1:{port}/"], REFUSED, "url"),
        ("an empty host", [f"http://:{port}/"], REFUSED, "host"),
        ("CR LF in the target", [server.url("/a HTTP/1.1\r\nX: y")], REFUSED, ""),
        ("a header without a colon", [url, "-H", "no colon"], REFUSED, "header"),
        ("a header without a name", [url, "-H", ": a"], REFUSED, "name"),
        ("a space in a header's name", [url, "-H", "X Y: a"], REFUSED, "name"),
        ("CR LF in a header", [url, "-H", "X: a\r\nY: b"], REFUSED, "value"),
        ("LF in a header", [url, "-H", "X: a\nY: b"], REFUSED, "value"),
        ("a space in the method", [url, "-X", "GE T"], REFUSED, "method"),
        ("CR LF in the method", [url, "-X", "GET / HTTP/1.1\r\nX: y\r\n\r\n"], REFUSED, "method"),
        ("an empty method", [url, "-X", ""], REFUSED, "method"),
        ("two lengths", [url, "-X", "POST", "-d", "abc", "-H", "Content-Length: 5"], REFUSED, "length"),
    ]


def refused_before_a_byte(path):
    problems = []
    with ScriptedServer() as server, tempfile.TemporaryDirectory() as folder:
        cases = refused_cases(server, str(pathlib.Path(folder) / "missing" / "no-such-file"))
        for name, arguments, statuses, word in cases:
            seen = len(server.connections)
            run = tool.run(path, ["request", *arguments, "--json"], 20)
            said = run.stderr + " ".join(e.get("message", "") + e.get("code", "") for e in run.errors())
            if run.status not in statuses:
                problems.append(f"{name}: exit status {run.status}, expected {' or '.join(map(str, statuses))}")
            if word not in said.lower() or not said.strip():
                problems.append(f"{name}: the message does not say {word!r}: {said.strip()[:160]!r}")
            if "secret" in said:
                problems.append(f"{name}: the message repeats a password")
            if len(server.connections) != seen or server.requests:
                problems.append(f"{name}: the server saw a connection or a request")
                server.connections.clear()
    return problems, f"{len(cases)} inputs"


def targets_are_encoded_once(path):
    with ScriptedServer() as server:
        problems = []
        for given, expected in [
            ("/a%20b c?q=\u00fc&r=%2F", "/a%20b%20c?q=%C3%BC&r=%2F"),
            ("/100%?x", "/100%25?x"),
            ("/a/./b/../c#part", "/a/c"),
            ("", "/"),
        ]:
            run = tool.run(path, ["request", server.url(given), "--json"])
            problems += all_succeeded(run, 1)
            problems += equal(f"target of {given!r}", [r.target for r in server.requests[-1:]], [expected])
            problems += equal("Host", [r.field("host") for r in server.requests[-1:]], [f"127.0.0.1:{server.port}"])
        return problems + server.broken, "spaces, umlauts, stray percent signs, dot segments, fragments"


def exit_statuses(path):
    def script(connection):
        while request := connection.read_request():
            connection.reply(status="404 Not Found" if request.target == "/missing" else "200 OK")

    problems = []
    with ScriptedServer(script) as server:
        for arguments, expected in [
            ([server.url("/")], 0),
            ([server.url("/missing")], 0),
            ([server.url("/missing"), "--fail"], 1),
            ([server.url("/"), server.url("/missing"), "-n", "2", "--fail"], 1),
            ([server.url("/"), "--fail"], 0),
        ]:
            run = tool.run(path, ["request", *arguments, "--json"])
            problems += equal(f"exit status of {arguments}", run.status, expected)
        problems += server.broken
    return problems, "0 for any status, 1 with --fail from 400 on"


def json_lines(path):
    """Each line has the content that the tool's documentation promises, and so has the summary."""
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url("/x"), "-n", "2", "-v", "--json", "-H", "X-Test: one"])
        problems = all_succeeded(run, 2) + server.broken
        for line in run.lines:
            missing = {"index", "url", "status", "protocol", "redirects", "attempts", "resends", "requestsSent", "connection",
                       "bytes", "sha256", "milliseconds", "headers", "trailers"} - set(line)
            problems += equal("missing keys of a line", missing, set())
            problems += equal("missing keys of connection", {"id", "reused", "requests"} - set(line["connection"]), set())
            problems += equal("protocol", line.get("protocol"), "HTTP/1.1")
            problems += equal("sha256", line.get("sha256"), hashlib.sha256(b"clean").hexdigest())
        if run.lines and ["content-length", "5"] not in [[n.lower(), v] for n, v in run.lines[0].get("headers", [])]:
            problems.append(f"headers lack Content-Length as a name and a value: {run.lines[0].get('headers')}")
        missing = {"requests", "succeeded", "failed", "seconds", "p50", "p99", "pool", "shutdown"} - set(run.summary)
        problems += equal("missing keys of the summary", missing, set())
        problems += equal("X-Test as sent", {r.field("x-test") for r in server.requests}, {"one"})
        last = (run.stdout.splitlines() or [""])[-1]
        problems += equal("the summary comes last", "summary" in (json.loads(last) if last else {}), True)
        return problems, f"{len(run.lines)} lines and a summary"


def quiet(path):
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "-n", "20", "-c", "2", "--quiet", "--json"])
        problems = equal("exit status", run.status, 0) + equal("lines", len(run.lines), 0) + server.broken
        problems += equal("succeeded", run.summary.get("succeeded"), 20)
        return problems, "the summary alone"


def output_file(path):
    with ScriptedServer() as server, tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "body"
        run = tool.run(path, ["request", server.url(), "-o", str(target), "--json"])
        problems = all_succeeded(run, 1) + server.broken
        problems += equal("the file", target.read_bytes() if target.exists() else None, b"clean")
        return problems, "the body, nothing else"


def full_device(path):
    """Output that cannot be written: the tool prints the reason on standard error and fails."""
    with ScriptedServer() as server:
        run = tool.run(path, ["request", server.url(), "--json"], prefix=["sh", "-c", 'exec "$@" > /dev/full', "sh"])
        problems = equal("exit status", run.status, 1) + server.broken
        problems += equal("standard error", run.stderr,
                          "bowline: cannot write the output: No space left on device\n")
        return problems, "the reason, and exit status 1"


def body_limit(path):
    def script(connection):
        while connection.read_request():
            connection.reply(body=b"x" * 1000)

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "--max-body", "999", "--json"])
        problems = failed_with(run, 0, ["bodyTooLarge"], "responseStarted") + server.broken
    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "--max-body", "1000", "--json"])
        problems += all_succeeded(run, 1) + server.broken
    return problems, "999 bytes refused, 1000 let through"


def bodies_arrive_whole(path):
    """A body given on the command line, from a file, and of unknown length."""
    with ScriptedServer() as server, tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "body"
        file.write_bytes(bytes(i % 256 for i in range(300_000)))
        problems = []
        for arguments, expected, framing in [
            (["-X", "PUT", "-d", "näh"], "näh".encode(), "content-length"),
            (["-X", "POST", "-d", ""], b"", "content-length"),
            (["-X", "POST", "--data-file", str(file)], file.read_bytes(), "content-length"),
        ]:
            run = tool.run(path, ["request", server.url(), "--json", *arguments])
            problems += all_succeeded(run, 1)
            request = server.requests[-1]
            problems += equal(f"body of {arguments[:3]}", hashlib.sha256(request.body).hexdigest(),
                              hashlib.sha256(expected).hexdigest())
            problems += equal(f"{framing} of {arguments[:3]}", request.field(framing), str(len(expected)))
        return problems + server.broken, "from -d and --data-file, with their lengths"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("input: bad input is refused by name, before a byte is sent", refused_before_a_byte),
        ("input: targets are percent-encoded once", targets_are_encoded_once),
        ("output: exit statuses and --fail", exit_statuses),
        ("output: every promised key is in the JSON", json_lines),
        ("output: --quiet leaves the summary only", quiet),
        ("output: -o writes the body", output_file),
        ("output: a full device is named", full_device),
        ("output: --max-body", body_limit),
        ("input: request bodies arrive whole", bodies_arrive_whole),
    ]]
