"""The tool's system calls with a proxy: to which addresses it connected, and whether it looked up a name."""

import re
import subprocess

from harness import tool

_CONNECT = re.compile(r"connect\(\d+, \{sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\(\"([0-9.]+)\"\)\}")
_OTHER_CONNECT = re.compile(r"connect\(\d+, \{sa_family=(?!AF_INET,)([^}]*)\}")
# The C library opens these files to look up a name, and asks this port.
_LOOK_UP = re.compile(r"\"(/etc/(?:resolv\.conf|hosts|host\.conf))\"|(htons\(53\))")


class Calls:
    def __init__(self, text):
        # (address, port), or the text of an address that is not IPv4.
        self.connected = {(address, int(port)) for port, address in _CONNECT.findall(text)}
        self.connected |= set(_OTHER_CONNECT.findall(text))
        self.look_ups = sorted({file or port for file, port in _LOOK_UP.findall(text)})


def _strace(trace):
    return ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=network,open,openat"]


def record(path, arguments, folder):
    """Runs the tool under strace. Returns the run and its calls."""
    trace = folder / "trace"
    run = tool.run(path, arguments, 60, prefix=_strace(trace))
    return run, Calls(trace.read_text(errors="replace"))


def blind_spots(path, port, folder):
    """The problems of this module: what it does not see although it happens. `port` is one on which a server listens."""
    run, calls = record(path, ["request", "--json", "--no-proxy", f"http://localhost:{port}/calls"], folder)
    problems = []
    if run.statuses() != [200] or ("127.0.0.1", port) not in calls.connected:
        problems.append(f"strace does not show the connection of a run without a proxy: {run.tail()}")
    trace = folder / "trace"
    # The tool knows the addresses of `localhost`, so another program looks it up.
    subprocess.run([*_strace(trace), "getent", "ahosts", "localhost"], capture_output=True)
    if not Calls(trace.read_text(errors="replace")).look_ups:
        problems.append("strace does not show a look-up")
    return problems
