"""Unsolicited bytes after a complete response never answer the next request."""

import time

from harness import tool
from harness.loopback.expect import all_succeeded, clean_bodies, equal
from harness.scripted_server import ScriptedServer

EXTRAS = {
    "garbage": b"\x00garbage\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nX-Poison: ",
    "a whole response": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
}
REQUESTS = 20


def poisoning(extra, delay, late):
    """Every response is followed by the extra bytes: in the same write, or after the delay.

    On a busy machine the delay may last until the next request arrives. Bytes sent then would prove nothing, so the script does
    not send them and counts the round as late.
    """
    def script(connection):
        while connection.read_request():
            if delay is None:
                connection.reply(glued=extra)
            else:
                connection.reply()
                time.sleep(delay)
                if connection.has_input():
                    late.append(connection)
                else:
                    connection.send(extra)

    return script


def paced(path, extra, delay):
    """The only worker writes the next request after the bytes have arrived: each request needs its own connection."""
    late = []
    with ScriptedServer(poisoning(extra, delay, late)) as server:
        run = tool.run(path, ["request", server.url(), "-n", str(REQUESTS), "--interval", str(delay + 0.05),
                              "--json"])
        problems = all_succeeded(run, REQUESTS) + clean_bodies(run) + server.broken
        problems += equal("connections", len(server.connections), REQUESTS - len(late))
        if len(late) > REQUESTS // 2:
            problems.append(f"in {len(late)} of {REQUESTS} rounds the bytes were late: the machine is too busy to tell")
        return problems, f"{REQUESTS} requests, {len(server.connections)} connections, {len(late)} late rounds"


def at_once(path, extra):
    """The bytes follow the response in the same write, and the next request follows without a pause."""
    with ScriptedServer(poisoning(extra, None, [])) as server:
        count = 200
        run = tool.run(path, ["request", server.url(), "-n", str(count), "-c", "4", "--json"])
        problems = all_succeeded(run, count) + clean_bodies(run) + server.broken
        problems += equal("connections", len(server.connections), count)
        return problems, f"{count} requests, {len(server.connections)} connections"


def checks(path):
    listed = []
    for name, extra in EXTRAS.items():
        listed.append((f"unsolicited: {name} glued to the response, reused at once",
                       lambda extra=extra: at_once(path, extra)))
        for delay in (0.001, 0.005, 0.05):
            listed.append((f"unsolicited: {name} {delay * 1000:g} ms later",
                           lambda extra=extra, delay=delay: paced(path, extra, delay)))
    return listed
