"""The clients, and the options that all of them get: the same calls at the same pace, with the same limits."""

import pathlib

from harness import tool

HOST = "orders.test"
# A try may take this long. Three tries fit into the time of a call.
TRY_SECONDS = 0.6
CALL_SECONDS = 2
TRIES = 3
# One and a half times the longest usual answer of the service.
HEDGE_SECONDS = 0.03
LOOP = tool.ROOT / "Benchmarks/.build/release/RetryLoopDriver"


class Client:
    """`balances`: whether the goals hold for it. `is_ours`: whether it reports how far each failed call got."""

    def __init__(self, name, program, options, is_ours=True, balances=False):
        self.name = name
        self.program = program
        self.options = options
        self.is_ours = is_ours
        self.balances = balances

    def command(self, targets, pace):
        return [*self.options, "--targets", str(targets), "--pace", str(pace)]


def all_clients(bowline, servers):
    """The clients in the order of the table."""
    base_urls = [f"http://{address}:{servers.port}" for address in servers.addresses]
    ours = ["request", "--json", "--fail", "--no-proxy", "--resolve", f"{HOST}:{','.join(servers.addresses)}",
            "--timeout", str(CALL_SECONDS), "--head-timeout", str(TRY_SECONDS), "--max-attempts", str(TRIES)]
    return [
        Client("AsyncHTTPClient, retry loop", LOOP, ["--tries", str(TRIES), "--try-timeout", str(TRY_SECONDS), *base_urls],
               is_ours=False),
        Client("Bowline, defaults", bowline, ours),
        Client("Bowline, policies", bowline,
               [*ours, "--resilience", "standard", "--balance", "--hedge-after", str(HEDGE_SECONDS)], balances=True),
    ]


def write_targets(folder: pathlib.Path, servers, count):
    """Every tenth call is a POST without a key; each has its own id, by which the service counts."""
    path = folder / "targets"
    path.write_text("".join(
        f"{'POST' if is_post(index) else 'GET'} http://{HOST}:{servers.port}/calls/{index}\n" for index in range(count)))
    return path


def is_post(index):
    """A tenth of the calls. With every tenth call, a client that takes the five servers in turn would send all POSTs to one."""
    return index % 10 == index // 10 % 10


def loop_version():
    for line in (tool.ROOT / "Benchmarks/Package.swift").read_text().splitlines():
        if "async-http-client\", exact" in line:
            return line.split('exact: "')[1].split('"')[0]
    raise RuntimeError("Benchmarks/Package.swift does not say which AsyncHTTPClient it uses")
