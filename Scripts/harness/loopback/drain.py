"""Signals: requests in flight are finished, new ones are refused, and the deadline is kept."""

import signal
import threading
import time

from harness import tool
from harness.loopback.expect import equal
from harness.scripted_server import ScriptedServer


def holding(release):
    """Sends no answer until released."""
    def script(connection):
        while connection.read_request():
            release.wait(30)
            connection.reply()

    return script


def in_flight(server, count):
    return lambda: sum(len(c.requests) for c in list(server.connections)) >= count


def sigterm_drains(path):
    problems = []
    figures = []
    for number in (signal.SIGTERM, signal.SIGINT):
        release = threading.Event()
        with ScriptedServer(holding(release)) as server:
            process = tool.Process(path, ["request", server.url(), "-n", "51", "-c", "50", "--json"])
            case = [] if server.wait_for(in_flight(server, 50)) else ["50 requests were not in flight together"]
            process.send(number)
            time.sleep(0.5)
            if not process.is_running():
                case.append("the tool ended while 50 requests were in flight")
            release.set()
            released = time.monotonic()
            run = process.wait(30)
            after = process.ended - released
            statuses = [line.get("status") for line in run.lines if "error" not in line]
            refused = [line["error"] for line in run.lines if "error" in line]
            case += equal("requests answered with 200", statuses, [200] * 50)
            case += equal("the 51st", [(e.get("code"), e.get("progress")) for e in refused],
                          [("shuttingDown", "neverSent")])
            case += equal("requests that the server saw", len(server.requests), 50)
            case += equal("exit status", run.status, 0)
            case += equal("isClean", run.summary.get("shutdown", {}).get("isClean"), True)
            case += equal("forced", run.summary.get("shutdown", {}).get("forced"), 0)
            if after > 2:
                case.append(f"the tool ended {after:.1f} s after the last answer")
            problems += [f"{number.name}: {p}" for p in case + server.broken]
            figures.append(f"{number.name}: {len(statuses)} answered, {len(refused)} refused, exit {run.status}, "
                           f"{after:.2f} s after the answers")
    return problems, "; ".join(figures)


def drain_deadline(path):
    def script(connection):
        while connection.read_request():
            server.wait_for(lambda: connection.ended is not None or not server.is_open, 5)
            connection.reply()

    with ScriptedServer() as server:
        server.script = script
        process = tool.Process(path, ["request", server.url(), "-n", "3", "-c", "3", "--drain", "1", "--json"])
        problems = [] if server.wait_for(in_flight(server, 3)) else ["3 requests were not in flight together"]
        signalled = time.monotonic()
        process.send(signal.SIGTERM)
        run = process.wait(30)
        took = process.ended - signalled
        if not 0.9 <= took <= 2.2:
            problems.append(f"it ended {took:.2f} s after the signal, not within 1 to 2.2 s")
        problems += equal("errors", [e.get("code") for e in run.errors()], ["forciblyClosed"] * 3)
        shutdown = run.summary.get("shutdown", {})
        problems += equal("forced", shutdown.get("forced"), 3) + equal("isClean", shutdown.get("isClean"), False)
        problems += equal("exit status", run.status, 1) + server.broken
        return problems, f"ended {took:.2f} s after the signal, forced {shutdown.get('forced')}, exit {run.status}"


def second_signal_forces(path):
    release = threading.Event()
    with ScriptedServer(holding(release)) as server:
        process = tool.Process(path, ["request", server.url(), "-n", "3", "-c", "3", "--drain", "20", "--json"])
        problems = [] if server.wait_for(in_flight(server, 3)) else ["3 requests were not in flight together"]
        process.send(signal.SIGTERM)
        time.sleep(0.4)
        if not process.is_running():
            problems.append("the first signal did not drain")
        second = time.monotonic()
        process.send(signal.SIGTERM)
        run = process.wait(30)
        took = process.ended - second
        if took > 1.5:
            problems.append(f"it ended {took:.2f} s after the second signal")
        problems += equal("errors", [e.get("code") for e in run.errors()], ["forciblyClosed"] * 3)
        problems += equal("exit status", run.status, 1)
        release.set()
        return problems, f"ended {took:.2f} s after the second signal"


def shutdown_after(path):
    release = threading.Event()
    with ScriptedServer(holding(release)) as server:
        process = tool.Process(path, ["request", server.url(), "-n", "2", "-c", "2", "--shutdown-after", "0.5",
                                      "--drain", "10", "--json"])
        problems = [] if server.wait_for(in_flight(server, 2)) else ["2 requests were not in flight together"]
        time.sleep(1)
        if not process.is_running():
            problems.append("the tool ended while 2 requests were in flight")
        release.set()
        run = process.wait(30)
        problems += equal("statuses", run.statuses(), [200, 200]) + equal("exit status", run.status, 0)
        problems += equal("isClean", run.summary.get("shutdown", {}).get("isClean"), True) + server.broken
        return problems, f"2 answered after the shutdown began, exit {run.status}"


def idle_connections_close_at_once(path):
    """One worker pauses with its connection idle while another worker's request waits: the signal closes the idle one first."""
    release = threading.Event()

    def script(connection):
        while request := connection.read_request():
            if request.target == "/slow":
                release.wait(30)
            connection.reply()

    with ScriptedServer(script) as server:
        process = tool.Process(path, ["request", server.url("/slow"), server.url("/fast"), "-n", "4", "-c", "2",
                                      "--interval", "20", "--json"])
        problems = [] if server.wait_for(in_flight(server, 2)) else ["2 requests were not in flight together"]
        time.sleep(0.2)
        process.send(signal.SIGTERM)
        idle = next((c for c in server.connections if c.requests and c.requests[0].target == "/fast"), None)
        if idle is None or not server.wait_for(lambda: idle.ended == "fin", 1):
            problems.append("the idle connection was not closed within 1 s of the signal")
        if not process.is_running():
            problems.append("the tool ended while a request was in flight")
        release.set()
        run = process.wait(30)
        good = [line.get("status") for line in run.lines if "error" not in line]
        problems += equal("statuses", good, [200, 200]) + equal("exit status", run.status, 0) + server.broken
        return problems, f"idle closed first, then the slow one answered; exit {run.status} after {run.seconds:.1f} s"


def checks(path):
    return [(name, lambda check=check: check(path)) for name, check in [
        ("drain: a signal during 50 slow requests: all 50 end with 200, a 51st is refused, exit 0", sigterm_drains),
        ("drain: --drain 1 with requests that take 5 s: forced, reported, within 2.2 s", drain_deadline),
        ("drain: a second signal forces", second_signal_forces),
        ("drain: --shutdown-after", shutdown_after),
        ("drain: idle connections close at once, busy ones when they are done", idle_connections_close_at_once),
    ]]
