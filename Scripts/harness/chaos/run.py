"""One client's run through all phases, and what the service and the client say of it."""

import signal
import statistics
import time

from harness import tool
from harness.chaos import clients


class Phase:
    """`begin` and `end` change one server; None: all are healthy."""

    def __init__(self, name, begin=None, end=None):
        self.name = name
        self.begin = begin
        self.end = end


def all_phases(servers):
    return [
        Phase("all healthy"),
        Phase("one killed", servers.kill, servers.start),
        Phase("one stopped (SIGSTOP)", servers.pause, servers.resume),
        Phase("one ten times slower", servers.slow_down, servers.make_usual),
        Phase("one answers 503", servers.refuse, servers.make_usual),
        Phase("all healthy again"),
    ]


class Schedule:
    """How long everything takes. The calls of the warm-up are not counted."""

    def __init__(self, pace, warm_up, phase):
        self.pace = pace
        self.warm_up = warm_up
        self.phase = phase

    def first_call(self, phase):
        """The index of the first call of that phase. The phase begins when this call is due."""
        return round((self.warm_up + phase * self.phase) * self.pace)


class Figures:
    """The row of one client in one phase. Times are in milliseconds and include calls that failed; p50 and p99 are of the GETs."""

    def __init__(self, lines, arrived, executed, late):
        posts = [line for line in lines if clients.is_post(line["index"])]
        self.calls = len(lines)
        self.failed_gets = sum(has_failed(line) for line in lines) - sum(map(has_failed, posts))
        self.gets = len(lines) - len(posts)
        self.posts = len(posts)
        self.failed_posts = sum(map(has_failed, posts))
        self.posts_twice = sum(executed.get(str(line["index"]), 0) > 1 for line in posts)
        self.requests = sum(arrived.get(str(line["index"]), 0) for line in lines)
        gets = [line for line in lines if not clients.is_post(line["index"])]
        self.p50, self.p99 = percentile(gets, 50), percentile(gets, 99)
        self.p99_of_posts = percentile(posts, 99)
        # The 99th percentile of the time by which the service's timer was late.
        self.lateness = percentile([{"milliseconds": late.get(str(line["index"]), 0)} for line in lines], 99)


def percentile(lines, percent):
    return statistics.quantiles([line["milliseconds"] for line in lines], n=100, method="inclusive")[percent - 1]


def has_failed(line):
    return "error" in line and line["error"] is not None or (line.get("status") or 0) >= 400


class Outcome:
    """A client's rows, and the contradictions between what it said and what the service executed."""

    def __init__(self, client, rows, problems, answered, seconds):
        self.client = client
        self.rows = rows
        self.problems = problems
        self.answered = answered
        self.seconds = seconds


def run(client, servers, schedule):
    """Runs a client through all phases."""
    servers.ask("reset", "PUT")
    phases = all_phases(servers)
    count = schedule.first_call(len(phases))
    targets = clients.write_targets(servers.folder, servers, count)
    process = tool.Process(client.program, client.command(targets, schedule.pace))
    try:
        go_through(phases, servers, schedule)
        done = process.wait(30)
    finally:
        if process.is_running():
            process.send(signal.SIGKILL)
    # A server that was stopped executes what it had received.
    time.sleep(0.5)
    counts = servers.ask("counts")
    problems = []
    if len(done.lines) != count or done.noise:
        problems.append(f"{len(done.lines)} of {count} calls were reported; {done.noise[:2]} {done.tail()!r}")
        return Outcome(client, [], problems, counts["answered"], done.seconds)
    rows = [Figures(done.lines[schedule.first_call(index):schedule.first_call(index + 1)], counts["arrived"], counts["executed"],
                    counts["late"])
            for index in range(len(phases))]
    if client.is_ours:
        problems += contradictions(done.lines, counts["executed"])
    return Outcome(client, rows, problems, counts["answered"], done.summary["seconds"])


def go_through(phases, servers, schedule):
    """Makes one server fail in each phase: the one that got the most requests in the second before."""
    until = time.monotonic() + 20
    while (elapsed := servers.ask("elapsed")) is None:
        if time.monotonic() > until:
            raise RuntimeError("no request has arrived within 20 s")
        time.sleep(0.01)
    began = time.monotonic() - elapsed / 1000
    for number, phase in enumerate(phases):
        time.sleep(max(0, began + schedule.first_call(number) / schedule.pace - time.monotonic()))
        if number > 0 and phases[number - 1].end:
            phases[number - 1].end(server)
        server = servers.ask("busiest")
        if phase.begin:
            phase.begin(server)
    if phases[-1].end:
        raise RuntimeError("the last phase must be a healthy one")


def contradictions(lines, executed):
    """Compares each POST's outcome with the number of times that the service executed it."""
    problems = []
    for line in lines:
        times = executed.get(str(line["index"]), 0)
        if not clients.is_post(line["index"]):
            continue
        if times > 1:
            problems.append(f"POST {line['index']} was executed {times} times: {line}")
        if not has_failed(line) and times == 0:
            problems.append(f"POST {line['index']} succeeded and was not executed: {line}")
        if line.get("error", {}).get("progress") == "neverSent" and times > 0:
            problems.append(f"POST {line['index']} was never sent, and was executed: {line}")
    return problems
