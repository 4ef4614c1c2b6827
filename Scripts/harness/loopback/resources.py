"""Messages of a process that starts with too few file descriptors."""

from harness import tool
from harness.scripted_server import ScriptedServer

LIMITS = [*range(3, 33), 40, 48, 64]
# The exit status of the system's loader if it cannot start a program.
NOT_STARTED = 127
# libdispatch, which runs Swift's tasks, counts its threads with files of /proc. If it cannot open one, it ends the process
# (SIGILL), sometimes before our error. A fault of ours would happen each time, so the check tries several times.
LIBDISPATCH_ENDED_IT = -4
TRIES = 5


def run_once(path, limit, url):
    for _ in range(TRIES):
        run = tool.run(path, ["request", "--json", url], prefix=("prlimit", f"--nofile={limit}"))
        if run.status != LIBDISPATCH_ENDED_IT:
            break
    return run


def few_descriptors(path):
    problems, succeeded, refused, not_started = [], [], [], []
    with ScriptedServer() as server:
        for limit in LIMITS:
            run = run_once(path, limit, server.url("/"))
            said = run.stdout + run.stderr
            if run.status < 0:
                problems.append(f"{limit} descriptors: ended by signal {-run.status}: {run.tail()}")
            elif run.status == NOT_STARTED and "shared libraries" in run.stderr:
                not_started.append(limit)
            elif run.status == 0 and run.statuses() == [200]:
                succeeded.append(limit)
            elif "descriptors" in said or "open files" in said:
                refused.append(limit)
            else:
                problems.append(f"{limit} descriptors: exit {run.status}, {said[:200]!r}")
    if not succeeded or not refused:
        problems.append(f"succeeded with {succeeded}, refused with {refused}")
    return problems, (f"not started below {min(refused, default=0)}, an error that says so below "
                      f"{min(succeeded, default=0)}, success from there to {max(succeeded, default=0)}")


def checks(path):
    return [("resources: too few file descriptors at first use are an error that says so",
             lambda: few_descriptors(path))]
