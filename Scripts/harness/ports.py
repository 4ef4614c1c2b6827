"""Finds free ports on loopback, and waits until a server listens."""

import contextlib
import random
import socket
import time


def free_ports(count):
    """`count` different free ports. Holds each port until the last one is found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port():
    return free_ports(1)[0]


def lasting_ports(count):
    """Free ports that the kernel assigns to no outgoing connection, so that they stay free while their server restarts."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    with contextlib.ExitStack() as held:
        ports = []
        for port in random.sample(range(10_000, max(lowest, 12_000)), 1_000):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError(f"no {count} free ports below {lowest}")


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def wait_until_listening(process, ports, seconds=10):
    """True when all ports accept connections; False if the process ended before, or after that many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        if all(is_listening(port) for port in ports):
            return True
        time.sleep(0.025)
    return False


def established(port):
    """How many connections the server on that port has accepted and not closed."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if row[3] == "01" and int(row[1].split(":")[1], 16) == port)
