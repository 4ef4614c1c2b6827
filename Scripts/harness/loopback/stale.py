"""Connections that are dead when they are reused: which requests the client resends, and which never."""

from harness import tool
from harness.loopback.expect import all_succeeded, clean_bodies, equal, failed_with
from harness.scripted_server import ScriptedServer

BROKEN = ["connectionClosed", "incompleteBody", "connectFailed"]


def dropping(how, stale_connections, partial=b""):
    """Answers the first request of a connection. On the stale connections, reads the second request and ends the connection."""
    def script(connection):
        while connection.read_request():
            if connection.index in stale_connections and len(connection.requests) > 1:
                if partial:
                    connection.send(partial)
                connection.reset() if how == "reset" else connection.close()
                return
            connection.reply()

    return script


def copies(server, target):
    return sum(1 for request in server.requests if request.target == target)


def get_is_resent_once(path):
    problems = []
    for how in ("fin", "reset"):
        with ScriptedServer(dropping(how, {0})) as server:
            run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-n", "2", "--interval", "0.1", "--json"])
            case = all_succeeded(run, 2) + clean_bodies(run) + server.broken
            case += equal("copies of the second request", copies(server, "/b"), 2)
            case += equal("connections", len(server.connections), 2)
            case += equal("resends", [line.get("resends") for line in run.lines], [0, 1])
            served = [line["connection"] for line in run.lines]
            if len(served) == 2 and (served[0]["id"] == served[1]["id"] or served[1]["reused"]):
                case.append(f"the resend was not on a new connection: {served}")
            problems += [f"{how}: {p}" for p in case]
    return problems, "by FIN and by RST: 200 after one resend on a new connection"


def post_is_not_resent(path):
    problems = []
    codes = []
    for how in ("fin", "reset"):
        with ScriptedServer(dropping(how, {0})) as server:
            run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-X", "POST", "-d", "order", "-n", "2",
                                  "--interval", "0.1", "--json"])
            case = failed_with(run, 1, BROKEN, "ambiguous") + server.broken
            case += equal("copies of the second request", copies(server, "/b"), 1)
            case += equal("connections", len(server.connections), 1)
            codes += [error.get("code") for error in run.errors()]
            problems += [f"{how}: {p}" for p in case]
    return problems, f"{codes}, progress ambiguous, seen once by the server"


def post_marked_idempotent(path):
    problems = []
    for options in (["--idempotent"], ["-H", "Idempotency-Key: 1f"]):
        with ScriptedServer(dropping("fin", {0})) as server:
            run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-X", "POST", "-d", "order", "-n", "2",
                                  "--interval", "0.1", "--json", *options])
            case = all_succeeded(run, 2) + server.broken
            case += equal("copies of the second request", copies(server, "/b"), 2)
            case += equal("bodies", {request.body for request in server.requests}, {b"order"})
            problems += [f"{options[0]}: {p}" for p in case]
    return problems, "--idempotent and Idempotency-Key: one resend, same body"


def no_resend_option(path):
    with ScriptedServer(dropping("fin", {0})) as server:
        run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-n", "2", "--interval", "0.1", "--no-resend",
                              "--json"])
        problems = failed_with(run, 1, BROKEN, "ambiguous") + server.broken
        problems += equal("copies of the second request", copies(server, "/b"), 1)
        return problems, "the GET fails, seen once"


def never_two_resends(path):
    """The server also cuts the resend's connection."""
    def script(connection):
        while connection.read_request():
            if connection.requests[-1].target == "/b":
                connection.close()
                return
            connection.reply()

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-n", "2", "--interval", "0.1", "--json"])
        problems = failed_with(run, 1, BROKEN, "ambiguous") + server.broken
        problems += equal("copies of the second request", copies(server, "/b"), 2)
        return problems, f"{copies(server, '/b')} copies, then the error"


def siblings_are_evicted(path):
    """Five idle connections, all dead: each resend uses a new connection, not a sibling."""
    with ScriptedServer(dropping("reset", set(range(5)))) as server:
        held = {"released": False}

        def script(connection):
            # The first round waits until all five are in flight, so that there are five connections.
            if connection.index < 5 and connection.read_request():
                server.wait_for(lambda: held["released"] or sum(len(c.requests) for c in server.connections) >= 5)
                held["released"] = True
                connection.reply()
                connection.read_request()
                connection.reset()
                return
            while connection.read_request():
                connection.reply()

        server.script = script
        run = tool.run(path, ["request", server.url(), "-n", "10", "-c", "5", "--interval", "0.5", "--json"])
        problems = all_succeeded(run, 10) + server.broken
        resends = [line.get("resends", 0) for line in run.lines]
        if max(resends, default=0) > 1:
            problems.append(f"a request was resent more than once: {resends}")
        return problems, f"10 of 10, {sum(resends)} resends, {len(server.connections)} connections"


def fresh_connection_is_not_resent(path):
    def script(connection):
        connection.read_request()

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "--json"])
        problems = failed_with(run, 0, BROKEN, "ambiguous") + server.broken
        problems += equal("copies", len(server.requests), 1)
        return problems, "a fresh connection that is cut without a byte: the GET fails, seen once"


def after_a_response_byte(path):
    problems = []
    for partial in (b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):
        with ScriptedServer(dropping("fin", {0}, partial)) as server:
            run = tool.run(path, ["request", server.url("/a"), server.url("/b"), "-n", "2", "--interval", "0.1", "--json"])
            case = failed_with(run, 1, BROKEN, "responseStarted") + server.broken
            case += equal("copies of the second request", copies(server, "/b"), 1)
            problems += [f"after {partial!r}: {p}" for p in case]
    return problems, "after one byte, half a head, a 100: never sent again"


def body_cut_short(path):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    with ScriptedServer(script) as server:
        run = tool.run(path, ["request", server.url(), "--json"])
        problems = failed_with(run, 0, BROKEN, "responseStarted") + server.broken
        problems += equal("status beside the error", [line.get("status") for line in run.lines], [200])
        return problems, "status 200 and the error on one line"


def closed_while_idle(path):
    """The server closes the idle connection before the next request: no request fails, and no resend is needed."""
    problems = []
    for method, options in (("GET", []), ("POST", ["-X", "POST", "-d", "order"])):
        def script(connection):
            connection.read_request()
            connection.reply()

        with ScriptedServer(script) as server:
            run = tool.run(path, ["request", server.url(), "-n", "3", "--interval", "0.3", "--json", *options])
            case = all_succeeded(run, 3) + server.broken
            case += equal("copies", len(server.requests), 3) + equal("connections", len(server.connections), 3)
            case += equal("resends", [line.get("resends") for line in run.lines], [0, 0, 0])
            problems += [f"{method}: {p}" for p in case]
    return problems, "GET and POST: a new connection each, no resend"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("stale: a GET succeeds with one resend on a new connection", get_is_resent_once),
        ("stale: a POST fails with its progress named, the server sees it at most once", post_is_not_resent),
        ("stale: a POST marked idempotent is resent once, whole", post_marked_idempotent),
        ("stale: --no-resend", no_resend_option),
        ("stale: never two resends", never_two_resends),
        ("stale: siblings idle as long are not tried", siblings_are_evicted),
        ("stale: never on a fresh connection", fresh_connection_is_not_resent),
        ("stale: never after a response byte", after_a_response_byte),
        ("stale: a body cut short is an error beside its status", body_cut_short),
        ("stale: a connection closed while idle costs nothing", closed_while_idle),
    ]]
