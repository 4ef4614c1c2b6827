"""Measurements beside the pieces of work: idle connections, the cost of finding one, a drain, and many dials."""

import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

from .. import callgrind
from . import clients
from .table import ratios, spread
from .work import IDLE_GOALS, Work

# The peers beside which dials are measured: their drivers report the peak of their memory.
DIALLERS = ("hyper", "AsyncHTTPClient")


def idle(bench):
    """A thousand connections, plain and over TLS."""
    return _idle(bench, 1000, "/slow/1k", 2)


def idle_many(bench):
    """Ten thousand idle connections, only for the peers with a limit in IDLE_GOALS."""
    return _idle(bench, 10_000, "/slower/1k", 1, IDLE_GOALS)


def _idle(bench, count, path, rounds, peers=None):
    """KiB of memory per idle connection, measured after `count` requests at once. The server answers them so slowly that no
    request ends before the last connection is open."""
    drivers = {"Bowline": clients.OURS["default"]}
    # Without URLSession, which opens only six connections.
    drivers |= {key: client for key, client in bench.peers.items() if isinstance(client, clients.Driver) and key in (peers or bench.peers) and key != "URLSession"}
    lines = [f"### {count} idle connections", "", "KiB of resident memory for each, after as many requests at once.", "",
             "| | " + " | ".join(drivers) + " |", "|---" * (len(drivers) + 1) + "|"]
    goals = []
    for tls in (False, True):
        taken = {key: [] for key in drivers}
        for _ in range(rounds):
            for key, client in drivers.items():
                try:
                    taken[key].append(clients.Figures(kibibytes=_per_connection(bench, client, count, tls, path)))
                except clients.Failed as error:
                    bench.note(error)
        kind = "TLS" if tls else "plain"
        cells = [spread([figures["kibibytes"] for figures in each], "{:.1f}") if each else "–" for each in taken.values()]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
        for peer, limits in IDLE_GOALS.items():
            if found := ratios(taken["Bowline"], taken.get(peer, []), "kibibytes"):
                goals.append((f"memory per idle connection, {count} {kind}, ÷ {peer}", limits[tls], found))
    return lines + [""], goals


def _per_connection(bench, client, count, tls, path):
    server = bench.server
    url = server.tls(path) if tls else server.plain(path)
    words = ["idle", url, "-n", str(count), "--expect", "1024", *(["--ca", server.authority] if tls else [])]
    process = subprocess.Popen(["taskset", "-c", str(bench.core), str(client.binary), *words], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        connections = server.connections()
        _, stderr = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        raise clients.Failed(f"{client.name}, idle: did not end") from None
    finally:
        process.kill()
        process.wait()
    try:
        said = json.loads(line)
    except ValueError:
        raise clients.Failed(f"{client.name}, idle: said {line!r}, {stderr[-300:]!r}") from None
    if said["failed"] or connections < count:
        raise clients.Failed(f"{client.name}, idle: {said}, and the server has {connections} connections")
    return (said["after"] - said["before"]) / count


# Parts of the mangled names of the functions that take a connection out of the pool and return it. The pool's own `release` is
# inlined into the link's `release`.
CHECKOUT = re.compile(r"BowlineTransport(10PoolDriverC8tryLease|10OriginLinkC7release_)")


def checkout(bench, requests=500):
    """The number of instructions for taking a connection out of the pool and returning it, with one idle connection and with
    ten thousand."""
    client, url = clients.OURS["loop"], bench.server.plain("/1k")
    lines = ["### Checkout", "", "Instructions per request, one request at a time.", "",
             "| idle connections | checkout and return |", "|---|---|"]
    costs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        binary = callgrind.stripped(client.binary, folder)
        for idle in (1, 10_000):
            profiles = [callgrind.profile(binary, folder, ["requests", url, "-n", str(number), "--warmup", "10", "--idle", str(idle),
                                                           *client.extra]) for number in (requests, 2 * requests)]
            once, twice = (sum(cost for name, cost in profile.inclusive.items() if CHECKOUT.search(name)) for profile in profiles)
            costs[idle] = (twice - once) / requests
            lines.append(f"| {idle} | {costs[idle]:.0f} |")
    if not costs[1]:
        bench.note(clients.Failed("checkout: no such function was called"))
        return lines + [""], []
    return lines + [""], [("checkout beside 10,000 idle connections ÷ beside one, instructions", 1.2, [costs[10_000] / costs[1]])]


def drain(bench, count=10_000):
    """Ten thousand requests in flight, and a shutdown that waits for them."""
    server, client = bench.server, clients.OURS["default"]
    lines = [f"### {count} in flight, then a drain", "", "| executor | KiB each | drained after the last response, ms |", "|---|---|---|"]
    goals = []
    for variant, client in clients.OURS.items():
        words = ["drain", server.plain("/slow/1k"), "-n", str(count), "--expect", "1024", *client.extra]
        process = subprocess.Popen(["taskset", "-c", str(bench.core), str(client.binary), *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            _wait_for(lambda: server.connections() >= count, 30)
            stdout, stderr = process.communicate("all are in flight\n", timeout=60)
            said = json.loads(stdout)
        except (ValueError, TimeoutError, subprocess.TimeoutExpired) as error:
            bench.note(clients.Failed(f"{client.name}, drain: {type(error).__name__}"))
            continue
        finally:
            process.kill()
            process.wait()
        if said["failed"]:
            bench.note(clients.Failed(f"{client.name}, drain: {said}, {stderr[-300:]!r}"))
            continue
        each = (said["during"] - said["before"]) / count
        lines.append(f"| {variant} | {each:.1f} | {said['drained']:.1f} |")
        goals.append((f"KiB per request in flight, {variant} executor", 24, [each]))
        goals.append((f"ms from the last response to the end of the drain, {variant} executor", 100, [said["drained"]]))
    return lines + [""], goals


def dial_hundred(bench):
    """A hundred dials at once to one origin."""
    return _dials(bench, "A hundred dials at once to one origin", Work("dial-100", "/closing/1k", 100, 1024), 100, (5, 5))


def dial_many(bench):
    """Ten thousand connections, one after another."""
    return _dials(bench, "10,000 connections opened in a row", Work("dial-10k", "/closing/1k", 1, 1024), 10_000, (3, 1))


def _dials(bench, title, work, count, rounds):
    """The time and the memory of `count` requests with a connection each, because the server closes every connection. Over TLS
    every handshake is a full one. `rounds`: plain, over TLS. Medians."""
    drivers = dict(clients.OURS) | {key: bench.peers[key] for key in DIALLERS if key in bench.peers}
    lines = [f"### {title} ({work.name})", "", "| | client | total ms | µs each | CPU µs each | peak MiB | growth KiB each |",
             "|---|---|---|---|---|---|---|"]
    for tls in (False, True):
        work = dataclasses.replace(work, tls=tls, resumes=False)
        taken = {key: [] for key in drivers}
        for _ in range(rounds[tls]):
            for key, client in drivers.items():
                bench.run(client, work, count, taken[key], warmup=1)
        for key, each in taken.items():
            each = [figures for figures in each if figures]
            if not each:
                continue
            micros = statistics.median(1e6 / figures["rate"] for figures in each)
            cpu = statistics.median(figures["cpu"] for figures in each)
            peak = statistics.median(figures["peak"] for figures in each)
            grown = [(figures["peak"] - figures["before"]) * 1024 / count for figures in each if "before" in figures]
            name = drivers[key].name if key in clients.OURS else drivers[key].version
            growth = f"{statistics.median(grown):.2f}" if grown else "–"
            lines.append(f"| {'TLS' if tls else 'plain'} | {name} | {micros * count / 1000:.1f} | {micros:.0f} | {cpu:.0f} | {peak:.1f} | {growth} |")
    return lines + ["", "Growth: the peak of the process's resident memory minus the memory before the dials.", ""], []


def _wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.1)


EXTRAS = {"idle-1000": idle, "idle-10000": idle_many, "checkout": checkout, "drain": drain, "dial-100": dial_hundred,
          "dial-10k": dial_many}
