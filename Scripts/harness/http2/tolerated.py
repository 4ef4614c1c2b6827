"""Unusual but valid things that a peer may send. The client accepts, ignores or obeys them, and every request succeeds."""

import threading
import time

from harness.http2 import peer as p
from harness.http2.broken_rules import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LARGEST, PADDED, PING,
                                        PRIORITIZED, PRIORITY, RST_STREAM, SETTINGS, STATUS_200, WINDOW_UPDATE, setting, word)
from harness.http2.scenarios import ONE, POST, all_answered, large

RESERVED = 1 << 31
UNKNOWN_TYPES = (10, 11, 16, 99, 255)


def checks(scenario):
    yield from _padding(scenario)
    yield from _unknown(scenario)
    yield from _closed_streams(scenario)
    yield from _field_sections(scenario)
    yield from _limits(scenario)
    yield from _send_windows(scenario)
    yield from _going_away(scenario)


def _answered_with(count, body):
    """All requests were answered, each with these bytes, on one connection."""
    def expect(run, log):
        lengths = {line.get("bytes") for line in run.lines}
        return all_answered(count, connections=1, requests=count)(run, log) + (
            [] if lengths == {len(body)} else [f"bodies of {lengths} bytes, not {len(body)}"])
    return expect


def _padding(scenario):
    def padded(c):
        c.handshake()
        for _ in range(3):
            stream = c.request()
            c.frame(HEADERS, END_HEADERS | PADDED, stream, b"\xff" + STATUS_200 + bytes(255))
            c.frame(DATA, PADDED, stream, b"\x00ab")
            c.frame(DATA, PADDED, stream, b"\x03c" + b"\xee" * 3)
            # Only padding.
            c.frame(DATA, PADDED, stream, b"\x02\xee\xee")
            c.frame(DATA, PADDED | END_STREAM, stream, b"\x04de" + bytes(4))
            c.expects_body(stream, b"abcde")
    yield scenario("padding of HEADERS and DATA is left out", padded, "-n", "3", *ONE, expect=_answered_with(3, b"abcde"))

    def prioritized(c):
        c.handshake()
        stream = c.request()
        c.frame(HEADERS, END_HEADERS | PADDED | PRIORITIZED, stream, b"\x02" + word(3) + b"\x10" + STATUS_200 + bytes(2))
        c.frame(DATA, END_STREAM, stream, b"ab")
        c.expects_body(stream, b"ab")
    yield scenario("a priority and padding in HEADERS are left out", prioritized, *ONE, expect=_answered_with(1, b"ab"))

    def much(c):
        """Sends three times the stream's window as padding, but never more than the windows allow."""
        c.handshake()
        stream = c.request()
        c.head(stream, (":status", 200))
        windows = {0: 65535, stream: c.client_settings[p.SettingsFrame.INITIAL_WINDOW_SIZE]}
        for update in c.updates:
            windows[update.stream_id] += update.window_increment
        c.updates.clear()
        frames = 3 * windows[stream] // 257
        for index in range(frames):
            while min(windows.values()) < 257:
                if c.read(5) is None:
                    c.log.problems.append(f"no window was given back after {index} of {frames} frames")
                    c.cut()
                for update in c.updates:
                    windows[update.stream_id] += update.window_increment
                c.updates.clear()
            c.frame(DATA, PADDED, stream, b"\xffx" + bytes(255))
            for number in windows:
                windows[number] -= 257
        c.frame(DATA, END_STREAM, stream, b"")
        c.expects_body(stream, b"x" * frames)
    yield scenario("the windows get padding back", much, *ONE, expect=all_answered(1, connections=1))


def _unknown(scenario):
    def types(c):
        c.handshake()
        for _ in range(3):
            stream = c.request()
            for kind in UNKNOWN_TYPES:
                for number in (0, stream, stream + 20, 2):
                    c.frame(kind, 0xFF, number, b"unknown")
            c.head(stream, (":status", 200))
            c.frame(99, 0xFF, stream, bytes(16384))
            c.data(stream, b"ab")
            c.frame(99, 0xFF, stream, b"")
            c.data(stream, b"c", end=True)
            c.expects_body(stream, b"abc")
    yield scenario("frames of unknown types are ignored on any stream", types, "-n", "3", *ONE,
                   expect=_answered_with(3, b"abc"))

    def flags(c):
        c.handshake()
        c.frame(SETTINGS, 0xFE, 0, setting(3, 7))
        stream = c.request()
        c.frame(PING, 0xFE, 0, bytes(8))
        c.frame(WINDOW_UPDATE, 0xFF, stream, word(1))
        c.frame(HEADERS, 0xFF & ~(END_STREAM | PADDED | PRIORITIZED), stream, STATUS_200)
        c.frame(DATA, 0xFF & ~(END_STREAM | PADDED), stream, b"ab")
        c.frame(DATA, END_STREAM, stream, b"c")
        c.expects_body(stream, b"abc")
    yield scenario("unknown flags are ignored", flags, *ONE, expect=_answered_with(1, b"abc"))

    def bits(c):
        c.handshake()
        stream = c.request()
        c.frame(SETTINGS, 0, RESERVED, setting(3, 7))
        c.frame(PING, 0, RESERVED, bytes(8))
        c.frame(WINDOW_UPDATE, 0, RESERVED, word(RESERVED | 1))
        c.frame(WINDOW_UPDATE, 0, RESERVED | stream, word(RESERVED | 1))
        c.frame(HEADERS, END_HEADERS, RESERVED | stream, STATUS_200)
        c.frame(DATA, END_STREAM, RESERVED | stream, b"ab")
        c.expects_body(stream, b"ab")
    yield scenario("reserved bits are ignored", bits, *ONE, expect=_answered_with(1, b"ab"))

    def settings(c):
        c.handshake()
        stream = c.request()
        c.frame(SETTINGS, 0, 0, b"".join(setting(number, 2**32 - 1) for number in (0, 7, 8, 9, 0xFFFF)) + setting(2, 0))
        c.frame(SETTINGS, 0, 0, b"")
        c.answer(stream)
        c.serve()
    yield scenario("unknown settings are ignored", settings, "-n", "2", *ONE, expect=all_answered(2, connections=1))


def _closed_streams(scenario):
    def late(c):
        c.handshake()
        while True:
            stream = c.request(30)
            c.answer(stream)
            c.frame(RST_STREAM, 0, stream, word(p.NO_ERROR))
            c.frame(RST_STREAM, 0, stream, word(p.INTERNAL_ERROR))
            c.frame(WINDOW_UPDATE, 0, stream, word(LARGEST))
            c.frame(WINDOW_UPDATE, 0, stream, word(0))
            c.frame(PRIORITY, 0, stream, word(0) + b"\x10")
            c.frame(PRIORITY, 0, stream, bytes(4))
            c.frame(PRIORITY, 0, stream + 100, word(0) + b"\x10")
    yield scenario("RST_STREAM, WINDOW_UPDATE and PRIORITY behind the end of a stream are ignored", late, *POST, "-n", "6",
                   "-c", "3", *ONE, expect=lambda run, log: all_answered(6, connections=1, requests=6)(run, log)
                   + ([f"resets {log.resets}"] if log.resets else []))

    def own_reset(c):
        """The peer resets a stream and then still sends a head and DATA on it. The head's field section changes the table."""
        c.handshake()
        about, other = sorted(c.request() for _ in range(2))
        c.reset(about, p.INTERNAL_ERROR)
        c.head(about, (":status", 200), ("x-indexed", "late"))
        c.data(about, b"late", end=True)
        # This answer uses the table entry that the dropped section has made.
        c.answer(other, 200, None, ("x-indexed", "late"))
        c.serve()
    yield scenario("HEADERS and DATA behind an own RST_STREAM are dropped, and HPACK stays in step", own_reset, *POST,
                   "-v", "-n", "3", "-c", "2", *ONE,
                   expect=lambda run, log: ([] if [e["code"] for e in run.errors()] == ["streamReset"]
                                            and run.statuses().count(200) == 2 and log.connections == 1
                                            and sum(["x-indexed", "late"] in line.get("headers", []) for line in run.lines) == 1
                                            else [f"{run.lines}"]))


def _field_sections(scenario):
    def continued(c):
        c.handshake()
        for _ in range(3):
            stream = c.request()
            block = c.encoder.encode([(":status", "200"), ("x-long", "a" * 300)])
            c.frame(HEADERS, 0, stream, b"")
            for byte in block:
                c.frame(CONTINUATION, 0, stream, bytes([byte]))
            c.frame(CONTINUATION, END_HEADERS, stream, b"")
            c.frame(DATA, END_STREAM, stream, b"ab")
            c.expects_body(stream, b"ab")
    yield scenario("a head in CONTINUATION frames of one byte and of none", continued, "-n", "3", *ONE,
                   expect=_answered_with(3, b"ab"))

    def peers_table(c):
        c.handshake()
        for index in range(12):
            stream = c.request()
            # The encoder writes the size update before the next section.
            c.encoder.header_table_size = (0, 4096, 100, 1)[index % 4]
            c.answer(stream, 200, None, ("x-indexed", "a" * 20), ("x-other", str(index)))
    yield scenario("the peer's table shrinks and grows within the bounds", peers_table, "-n", "12", *ONE,
                   expect=all_answered(12, connections=1))

    sizes = (0, 4096, 64, 65536, 200, 0, 16384)

    def our_table(c):
        c.handshake()
        for index in range(40):
            stream = c.request()
            c.resize_table(sizes[index % len(sizes)])
            if index % 3 == 0:
                # Two changes before the client's next section: the section must announce the smaller size.
                c.resize_table(0)
                c.resize_table(4096)
            c.answer(stream)
    yield scenario("HEADER_TABLE_SIZE goes up and down under way: every field arrives", our_table, "-n", "40", "-c", "5", *ONE,
                   expect=all_answered(40, connections=1, requests=40))


def _limits(scenario):
    def to_zero_and_back():
        raised = threading.Event()

        def script(c):
            if c.number > 1:
                # The other connections never allow a stream.
                c.handshake(max_concurrent_streams=0)
                c.drain(20)
                return
            c.handshake(max_concurrent_streams=4)
            streams = [c.request() for _ in range(4)]
            c.frame(SETTINGS, 0, 0, setting(3, 0))
            c.ping()
            for stream in streams:
                c.answer(stream)
            c.ping()
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                c.read(0.1)
            if len(c.requests) > 4:
                c.log.problems.append(f"{len(c.requests) - 4} streams were opened against a limit of 0")
            c.frame(SETTINGS, 0, 0, setting(3, 2))
            raised.set()
            c.serve()
        return script
    yield scenario("H2g the limit falls to 0 with streams open, and rises again: the same connection goes on",
                   to_zero_and_back(), *POST, "-n", "20", "-c", "4", *ONE, expect=all_answered(20, requests=20))


def _send_windows(scenario):
    def negative(c):
        c.handshake(initial_window_size=1000)
        c.credits = False
        c.grows_to(1, 1000)
        c.frame(SETTINGS, 0, 0, setting(4, 0))

        def grant(increment, total):
            c.frame(WINDOW_UPDATE, 0, 1, word(increment))
            c.grows_to(1, total)
        # The window is now -1000.
        grant(400, 1000)
        grant(600, 1000)
        grant(1, 1001)
        grant(9, 1010)
        c.frame(SETTINGS, 0, 0, setting(4, 5))
        c.grows_to(1, 1015)
        c.frame(SETTINGS, 0, 0, setting(4, 1 << 20))
        c.answer(c.request())
    yield scenario("H2m INITIAL_WINDOW_SIZE of 0 below what was sent: not a byte before the window is positive again", negative,
                   *large(20000), *ONE, expect=all_answered(1, connections=1))

    def connection_window(c):
        """The stream's window is large and the connection's is empty: the client sends one byte for each byte of new window."""
        c.handshake(initial_window_size=1 << 20)
        c.credits = False
        c.grows_to(1, 65535)
        for increment, total in ((1, 65536), (10, 65546)):
            c.frame(WINDOW_UPDATE, 0, 0, word(increment))
            c.grows_to(1, total)
        c.frame(WINDOW_UPDATE, 0, 0, word(LARGEST - 1))
        c.answer(c.request())
    yield scenario("the connection's window binds a body whose stream has room", connection_window, *large(200000), *ONE,
                   expect=all_answered(1, connections=1))


def _going_away(scenario):
    def announced(c):
        """2^31-1 refuses nothing: open streams end on this connection, and new requests dial another."""
        c.handshake()
        if c.number == 1:
            streams = [c.request() for _ in range(3)]
            c.go_away(LARGEST)
            c.ping()
            for stream in streams:
                c.answer(stream)
        c.serve()
    yield scenario("GOAWAY of 2^31-1 lets all open streams end", announced, *POST, "-n", "6", "-c", "3", *ONE,
                   expect=lambda run, log: all_answered(6, requests=6)(run, log)
                   + ([] if 2 <= log.connections <= 4 else [f"{log.connections} connections"]))

    def twice(c):
        c.handshake()
        if c.number == 1:
            first, second, third = sorted(c.request() for _ in range(3))
            c.frame(GOAWAY, 0, 0, word(RESERVED | second, p.NO_ERROR) + b"debug data" * 100)
            c.ping()
            c.go_away(first)
            c.go_away(first)
            c.ping()
            c.answer(first)
        c.serve()
    yield scenario("GOAWAY thrice, with a lower id and debug data: what is above is sent again, once", twice, *POST,
                   "-n", "3", "-c", "3", *ONE,
                   expect=lambda run, log: all_answered(3, requests=5)(run, log)
                   + ([] if sum(arrival.connection == 1 for arrival in log.requests) == 3
                      else ["not 3 requests on the first connection"]))
