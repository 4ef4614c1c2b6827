"""Expectations of the checks. Each function returns the problems that it found."""

import hashlib
import time

CLEAN = hashlib.sha256(b"clean").hexdigest()


def equal(name, found, expected):
    return [] if found == expected else [f"{name}: {found}, expected {expected}"]


def all_succeeded(run, count):
    """Exit status 0, `count` lines with status 200, and a summary that agrees."""
    problems = equal("exit status", run.status, 0)
    problems += equal("standard output that is not JSON", run.noise[:2], [])
    bad = [line for line in run.lines if line.get("status") != 200 or "error" in line]
    if bad or len(run.lines) != count:
        problems.append(f"{len(run.lines) - len(bad)} of {count} requests succeeded; among the others: {bad[:2]}")
    seen = tuple(run.summary.get(name) for name in ("requests", "succeeded", "failed"))
    problems += equal("summary (requests, succeeded, failed)", seen, (count, count, 0))
    if problems and run.stderr.strip():
        problems.append(f"stderr: {run.tail()!r}")
    return problems


def failed_with(run, index, codes, progress):
    """The request of that index failed with one of the codes and that progress; the exit status reports the failure."""
    problems = equal("exit status", run.status, 1)
    lines = [line for line in run.lines if line.get("index") == index]
    if len(lines) != 1 or "error" not in lines[0]:
        return problems + [f"request {index} did not fail: {lines}; stderr: {run.tail()!r}"]
    error = lines[0]["error"]
    if error.get("code") not in codes or error.get("progress") != progress or not error.get("message"):
        problems.append(f"request {index} failed with {error}, expected {' or '.join(codes)} and progress {progress}")
    return problems


def closed_by_client(connections):
    """The client closed each connection, and sent no byte after its requests."""
    problems = []
    for connection in connections:
        for _ in range(200):
            if connection.ended:
                break
            time.sleep(0.01)
        if connection.ended not in ("fin", "reset"):
            problems.append(f"connection {connection.index} was not closed by the client ({connection.ended})")
        if connection.buffer:
            problems.append(f"connection {connection.index} carried bytes beyond its requests: {connection.buffer[:60]!r}")
    return problems



def clean_bodies(run):
    """Every body is the expected one."""
    wrong = [line for line in run.lines if "error" not in line and line.get("sha256") != CLEAN]
    return [f"{len(wrong)} bodies are not the one asked for: {wrong[:1]}"] if wrong else []
