"""Reads the output of `nghttpd --verbose`: each request's fields, as nghttpd has decoded them, and the length of its body.

nghttpd does not print bodies. With --echo-upload it sends the body of a PUT or POST back, so the client receives what arrived.
"""

import os
import re

from harness.http2.ledger import Arrival

_FIELD = re.compile(r"\[id=(\d+)\] \[ *[\d.]+\] recv \(stream_id=(\d+)(?:, sensitive)?\) (:?[^:]+): (.*)")
_FRAME = re.compile(r"\[id=(\d+)\] \[ *[\d.]+\] recv (?:DATA|(HEADERS)) frame <length=(\d+), flags=0x([0-9a-f]+), stream_id=(\d+)>")
_END_STREAM = 1


def take(path):
    """The requests in the log since the previous call. The server must have opened the log for appending."""
    with open(path, encoding="utf-8", errors="surrogateescape") as log:
        found = arrivals(log)
    os.truncate(path, 0)
    return found


def arrivals(lines):
    """The requests in these lines. Of a body only the length is known, because the client does not pad DATA frames."""
    streams = {}

    def arrival(connection, stream):
        if (connection, stream) not in streams:
            streams[connection, stream] = Arrival(connection, int(stream), [])
            streams[connection, stream].bytes_hash = None
        return streams[connection, stream]

    for line in lines:
        line = line.rstrip("\n")
        if match := _FIELD.fullmatch(line):
            connection, stream, name, value = match.groups()
            arrival(connection, stream).fields.append((name, value))
        elif match := _FRAME.fullmatch(line):
            connection, is_head, length, flags, stream = match.groups()
            if not is_head:
                arrival(connection, stream).length += int(length)
            if int(flags, 16) & _END_STREAM:
                arrival(connection, stream).ended = True
    return list(streams.values())
