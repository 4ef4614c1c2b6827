"""What is not so many requests after one another: connections that lie idle, and a drain."""

import json
import subprocess

from . import clients
from .table import ratios, spread
from .work import IDLE_GOALS

# Requests answered so slowly that none ends before the last connection is open; connections, scheme, rounds.
IDLE = [(1000, False, "/slow/1k", 3), (1000, True, "/slow/1k", 3), (10_000, False, "/slower/1k", 1), (10_000, True, "/slower/1k", 1)]


def idle(bench):
    """KiB of memory per connection that lies idle: after K requests at once, each on a connection of its own."""
    lines = ["### idle", "", "KiB of resident memory per idle connection; K requests at once opened them.", ""]
    drivers = {"Bowline": clients.OURS["default"]}
    drivers |= {key: client for key, client in bench.peers.items() if isinstance(client, clients.Driver)}
    lines += ["| connections | " + " | ".join(drivers) + " |", "|---" * (len(drivers) + 1) + "|"]
    goals = []
    for count, tls, path, rounds in IDLE:
        taken = {key: [] for key in drivers}
        for _ in range(rounds):
            for key, client in drivers.items():
                if key == "URLSession" and (tls or count > 1000):
                    continue
                try:
                    taken[key].append(clients.Figures(kibibytes=_per_connection(bench, client, count, tls, path)))
                except clients.Failed as error:
                    bench.note(error)
        kind = "TLS" if tls else "plain"
        cells = [spread([figures["kibibytes"] for figures in each], "{:.1f}") if each else "–" for each in taken.values()]
        lines.append(f"| {count} {kind} | " + " | ".join(cells) + " |")
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


EXTRAS = {"idle": idle}
