"""The clients, and how to run each."""

import json
import pathlib
import re

from .. import tool

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "Benchmarks"
RELEASE = ROOT / ".build" / "release"
PEERS = ROOT / ".build-peers"


class Failed(Exception):
    """A client did not do its work; its output says why."""


class Figures(dict):
    """The cost of a run: cpu (µs per request), rate (requests/s), p50, p99, p999 (µs), peak (MiB)."""


class Driver:
    """A client that runs in one of our drivers (Benchmarks/README.md describes drivers)."""

    def __init__(self, name, binary, *extra, counts_allocations=True, knows_classical=False, does=lambda work: True):
        self.name = name
        self.binary = binary
        self.extra = extra
        self.counts_allocations = counts_allocations
        # Whether the driver has the option `--classical`. The others offer no hybrid key exchange, or cannot leave it out.
        self.knows_classical = knows_classical
        self.does = does
        self.version = name

    @property
    def exists(self):
        return self.binary.exists()

    def run(self, work, server, core, count, environment=None, warmup=None):
        warmup = max(work.in_flight, count // 20) if warmup is None else warmup
        words = ["requests", work.url(server), "-n", str(count), "--warmup", str(warmup), *work.options(server), *self._own(work)]
        run = tool.run(self.binary, words, 120, prefix=["taskset", "-c", str(core)], environment=environment)
        said = self._said(run)
        if run.status != 0 or said["failed"] or said["requests"] != count:
            raise Failed(f"{self.name}, {work.name}: exit {run.status}, {said}, {run.tail()!r}")
        self.version = said["client"]
        figures = Figures(cpu=said["cpu"] / count * 1e6, rate=count / said["seconds"], peak=run.peak_mib)
        # Drivers without these two figures: the peak is sampled every 20 ms.
        if said.get("peak"):
            figures |= {"peak": said["peak"] / 1024, "before": said["before"] / 1024}
        figures |= {key: said[key] for key in ("p50", "p99", "p999")}
        if said.get("allocations") is not None:
            figures["allocations"] = said["allocations"]
        return figures

    def _own(self, work):
        """The options of this driver that others do not know."""
        return [*self.extra, *(["--classical"] if work.classical and self.knows_classical else [])]

    def _said(self, run):
        try:
            return json.loads(run.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise Failed(f"{self.name}: exit {run.status}, said {run.stdout[-200:]!r}, {run.tail()!r}") from None

    def allocations(self, work, server, core, library, folder, count=2000):
        """Allocator calls per request: the calls of a run of 2N requests minus the calls of a run of N, divided by N."""
        if not self.counts_allocations or not library.exists():
            return None
        counts = []
        for number in (count, 2 * count):
            out = folder / f"allocations-{number}"
            self.run(work, server, core, number, {"LD_PRELOAD": str(library), "ALLOCATION_COUNT_FILE": str(out)},
                     warmup=work.in_flight)
            counts.append(int(out.read_text()))
        return (counts[1] - counts[0]) / count


class Wrk:
    """The limit of what a loop in C can reach: HTTP/1.1 without a client's logic."""

    name = "wrk"
    version = "wrk"
    binary = pathlib.Path("/usr/bin/wrk")

    @property
    def exists(self):
        return self.binary.exists()

    def does(self, work):
        return not work.http2 and not work.sent and not work.gzip and not work.name.startswith("churn")

    def run(self, work, server, core, count, environment=None, warmup=None):
        seconds = max(1, round(count / work.guess))
        words = ["-t", "1", "-c", str(work.in_flight), "-d", f"{seconds}s", "--latency", work.url(server)]
        run = tool.run(self.binary, words, 120, prefix=["taskset", "-c", str(core)])
        found = re.search(r"(\d+) requests in", run.stdout)
        if run.status != 0 or not found or "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
            raise Failed(f"wrk, {work.name}: exit {run.status}, {run.stdout[-300:]}")
        done = int(found[1])
        figures = Figures(cpu=run.cpu_seconds / done * 1e6, rate=done / run.seconds, peak=run.peak_mib)
        for key, percent in (("p50", "50%"), ("p99", "99%")):
            if match := re.search(rf"{percent}\s+([\d.]+)(us|ms|s)", run.stdout):
                figures[key] = float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[match[2]]
        return figures

    def allocations(self, *_, **__):
        return None


class H2load:
    """Like Wrk, over HTTP/2."""

    name = "h2load"
    version = "h2load"
    binary = pathlib.Path("/usr/bin/h2load")

    @property
    def exists(self):
        return self.binary.exists()

    def does(self, work):
        return work.http2

    def run(self, work, server, core, count, environment=None, warmup=None):
        words = ["-n", str(count), "-c", "1", "-m", str(work.in_flight), "-w", "24", "-W", "24", work.url(server)]
        run = tool.run(self.binary, words, 120, prefix=["taskset", "-c", str(core)])
        found = re.search(r"finished in .*, ([\d.]+) req/s", run.stdout)
        if run.status != 0 or not found or f"{count} succeeded, 0 failed" not in run.stdout:
            raise Failed(f"h2load, {work.name}: exit {run.status}, {run.stdout[-300:]}")
        return Figures(cpu=run.cpu_seconds / count * 1e6, rate=float(found[1]), peak=run.peak_mib)

    def allocations(self, *_, **__):
        return None


OURS = {
    "loop": Driver("Bowline, event-loop executor", RELEASE / "BowlineDriver", "--event-loop-executor", knows_classical=True),
    "default": Driver("Bowline, default executor", RELEASE / "BowlineDriver", knows_classical=True),
}
PEER_CLIENTS = {
    "hyper": Driver("hyper", PEERS / "hyper"),
    "Go": Driver("Go net/http", PEERS / "go", counts_allocations=False),
    "AsyncHTTPClient": Driver("AsyncHTTPClient", RELEASE / "AsyncHTTPClientDriver", does=lambda work: not work.classical),
    "libcurl": Driver("libcurl", PEERS / "curl"),
    # What a client on SwiftNIO pays at least for a connection per request.
    "SwiftNIO": Driver("SwiftNIO without a client", RELEASE / "NIOFloorDriver", "--event-loop-executor", knows_classical=True,
                       does=lambda work: work.name.startswith("churn")),
    # This client trusts only the system's certificate authorities.
    "URLSession": Driver("URLSession", RELEASE / "URLSessionDriver", does=lambda work: not work.tls),
    "wrk": Wrk(),
    "h2load": H2load(),
}
