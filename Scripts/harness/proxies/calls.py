"""The tool's system calls with a proxy: to which addresses it connected, and whether it looked up a name."""

import re

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


def record(path, arguments, folder, environment=None):
    """Runs the tool under strace. Returns the run and its calls."""
    trace = folder / "trace"
    run = tool.run(path, arguments, 60, environment,
                   prefix=["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=network,open,openat"])
    return run, Calls(trace.read_text(errors="replace"))
