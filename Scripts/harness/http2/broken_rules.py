"""Frames that break a rule of HTTP/2, as bytes, because libraries refuse to write them.

Each must end only what the RFC says: a stream or the connection. The error of every ended request must name the broken rule and
the request's progress, and the peer must receive the correct error code.
"""

import struct

from harness.http2 import peer as p
from harness.http2.scenarios import ONE, POST, failed

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
LARGEST = 2**31 - 1
STATUS_200 = b"\x88"
# An index outside every table, a string that is cut off, a table size above ours, Huffman code with the end symbol in it.
NO_INDEX, CUT_OFF, TABLE_SIZE, BAD_HUFFMAN = b"\xff\x80\x01", b"\x00\x03ab", b"\x3f\xe1\xff\x7f", b"\x00\x84\xff\xff\xff\xff\x01a"


def word(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


# The frames that the peer sends, the code of the client's GOAWAY, the rule. `s` is the number of an open stream.
_OF_THE_CONNECTION = [
    ("SETTINGS of 5 bytes", lambda s: [(SETTINGS, 0, 0, bytes(5))], p.FRAME_SIZE_ERROR, "§6.5"),
    ("an acknowledgement of SETTINGS with a payload", lambda s: [(SETTINGS, ACK, 0, bytes(6))], p.FRAME_SIZE_ERROR, "§6.5"),
    ("PING of 7 bytes", lambda s: [(PING, 0, 0, bytes(7))], p.FRAME_SIZE_ERROR, "§6.7"),
    ("PING of 9 bytes", lambda s: [(PING, 0, 0, bytes(9))], p.FRAME_SIZE_ERROR, "§6.7"),
    ("GOAWAY of 7 bytes", lambda s: [(GOAWAY, 0, 0, bytes(7))], p.FRAME_SIZE_ERROR, "§6.8"),
    ("WINDOW_UPDATE of 3 bytes", lambda s: [(WINDOW_UPDATE, 0, 0, bytes(3))], p.FRAME_SIZE_ERROR, "§6.9"),
    ("WINDOW_UPDATE of 5 bytes on a stream", lambda s: [(WINDOW_UPDATE, 0, s, bytes(5))], p.FRAME_SIZE_ERROR, "§6.9"),
    ("RST_STREAM of 5 bytes", lambda s: [(RST_STREAM, 0, s, bytes(5))], p.FRAME_SIZE_ERROR, "§6.4"),
    ("RST_STREAM of 3 bytes", lambda s: [(RST_STREAM, 0, s, bytes(3))], p.FRAME_SIZE_ERROR, "§6.4"),
    ("HEADERS too short for a priority", lambda s: [(HEADERS, END_HEADERS | PRIORITIZED, s, bytes(4))], p.FRAME_SIZE_ERROR,
     "§4.2"),
    ("padded HEADERS without a length", lambda s: [(HEADERS, END_HEADERS | PADDED, s, b"")], p.FRAME_SIZE_ERROR, "§4.2"),
    ("HEADERS longer than a frame may be", lambda s: [(HEADERS, END_HEADERS, s, bytes(16385))], p.FRAME_SIZE_ERROR, "§4.2"),
    ("SETTINGS longer than a frame may be", lambda s: [(SETTINGS, 0, 0, bytes(16386))], p.FRAME_SIZE_ERROR, "§4.2"),
    ("a frame of an unknown type on stream 0, longer than a frame may be", lambda s: [(200, 0, 0, bytes(16385))],
     p.FRAME_SIZE_ERROR, "§4.2"),

    ("DATA on stream 0", lambda s: [(DATA, 0, 0, b"x")], p.PROTOCOL_ERROR, "§6.1"),
    ("HEADERS on stream 0", lambda s: [(HEADERS, END_HEADERS, 0, STATUS_200)], p.PROTOCOL_ERROR, "§6.2"),
    ("PRIORITY on stream 0", lambda s: [(PRIORITY, 0, 0, bytes(5))], p.PROTOCOL_ERROR, "§6.3"),
    ("RST_STREAM on stream 0", lambda s: [(RST_STREAM, 0, 0, bytes(4))], p.PROTOCOL_ERROR, "§6.4"),
    ("PUSH_PROMISE on stream 0", lambda s: [(PUSH_PROMISE, END_HEADERS, 0, word(2) + b"\x82")], p.PROTOCOL_ERROR, "§6.6"),
    ("CONTINUATION on stream 0", lambda s: [(CONTINUATION, END_HEADERS, 0, STATUS_200)], p.PROTOCOL_ERROR, "§6.10"),
    ("SETTINGS on a stream", lambda s: [(SETTINGS, 0, s, b"")], p.PROTOCOL_ERROR, "§6.5"),
    ("PING on a stream", lambda s: [(PING, 0, s, bytes(8))], p.PROTOCOL_ERROR, "§6.7"),
    ("GOAWAY on a stream", lambda s: [(GOAWAY, 0, s, bytes(8))], p.PROTOCOL_ERROR, "§6.8"),

    ("DATA with padding as long as the frame", lambda s: [(HEADERS, END_HEADERS, s, STATUS_200), (DATA, PADDED, s, b"\x04abc")],
     p.PROTOCOL_ERROR, "§6.1"),
    ("HEADERS with padding longer than the frame", lambda s: [(HEADERS, END_HEADERS | PADDED, s, b"\x02\x88")],
     p.PROTOCOL_ERROR, "§6.2"),

    ("an index that no table has", lambda s: [(HEADERS, END_HEADERS, s, NO_INDEX)], p.COMPRESSION_ERROR, "§4.3"),
    ("a field section that is cut off", lambda s: [(HEADERS, END_HEADERS, s, CUT_OFF)], p.COMPRESSION_ERROR, "§4.3"),
    ("a table larger than ours", lambda s: [(HEADERS, END_HEADERS, s, TABLE_SIZE)], p.COMPRESSION_ERROR, "§4.3"),
    ("a table size behind a field", lambda s: [(HEADERS, END_HEADERS, s, b"\x88\x20")], p.COMPRESSION_ERROR, "§4.3"),
    ("a Huffman string with the end symbol", lambda s: [(HEADERS, END_HEADERS, s, BAD_HUFFMAN)], p.COMPRESSION_ERROR, "§4.3"),
    ("trailers that cannot be decoded", lambda s: [(HEADERS, END_HEADERS, s, STATUS_200),
                                                   (HEADERS, END_HEADERS | END_STREAM, s, NO_INDEX)],
     p.COMPRESSION_ERROR, "§4.3"),
    ("fields for a stream that was reset, which cannot be decoded",
     lambda s: [(RST_STREAM, 0, s, word(p.CANCEL)), (HEADERS, END_HEADERS, s, NO_INDEX)], p.COMPRESSION_ERROR, "§4.3"),

    ("CONTINUATION without HEADERS", lambda s: [(CONTINUATION, END_HEADERS, s, STATUS_200)], p.PROTOCOL_ERROR, "§6.10"),
    ("CONTINUATION behind a whole field section", lambda s: [(HEADERS, END_HEADERS, s, STATUS_200),
                                                            (CONTINUATION, END_HEADERS, s, b"")],
     p.PROTOCOL_ERROR, "§6.10"),
    ("CONTINUATION on another stream", lambda s: [(HEADERS, 0, s, STATUS_200), (CONTINUATION, END_HEADERS, s + 2, b"")],
     p.PROTOCOL_ERROR, "§6.10"),
    ("a field section interrupted by DATA", lambda s: [(HEADERS, 0, s, STATUS_200), (DATA, 0, s, b"x")], p.PROTOCOL_ERROR,
     "§6.10"),
    ("a field section interrupted by PING", lambda s: [(HEADERS, 0, s, STATUS_200), (PING, 0, 0, bytes(8))], p.PROTOCOL_ERROR,
     "§6.10"),
    ("a field section interrupted by an unknown frame", lambda s: [(HEADERS, 0, s, STATUS_200), (200, 0, s, b"")],
     p.PROTOCOL_ERROR, "§6.10"),
    ("a field section interrupted by HEADERS", lambda s: [(HEADERS, 0, s, STATUS_200), (HEADERS, END_HEADERS, s, STATUS_200)],
     p.PROTOCOL_ERROR, "§6.10"),

    ("WINDOW_UPDATE of 0", lambda s: [(WINDOW_UPDATE, 0, 0, word(0))], p.PROTOCOL_ERROR, "§6.9"),
    ("WINDOW_UPDATE beyond 2^31-1", lambda s: [(WINDOW_UPDATE, 0, 0, word(LARGEST))], p.FLOW_CONTROL_ERROR, "§6.9.1"),
    ("INITIAL_WINDOW_SIZE beyond 2^31-1", lambda s: [(SETTINGS, 0, 0, setting(4, 2**31))], p.FLOW_CONTROL_ERROR, "§6.5.2"),
    ("INITIAL_WINDOW_SIZE that raises a window beyond 2^31-1",
     lambda s: [(WINDOW_UPDATE, 0, s, word(LARGEST - 65535)), (SETTINGS, 0, 0, setting(4, LARGEST))],
     p.FLOW_CONTROL_ERROR, "§6.9.2"),
    ("ENABLE_PUSH of 1", lambda s: [(SETTINGS, 0, 0, setting(2, 1))], p.PROTOCOL_ERROR, "§6.5.2"),
    ("MAX_FRAME_SIZE of 16383", lambda s: [(SETTINGS, 0, 0, setting(5, 16383))], p.PROTOCOL_ERROR, "§6.5.2"),
    ("an acknowledgement of SETTINGS that were not sent", lambda s: [(SETTINGS, ACK, 0, b"")], p.PROTOCOL_ERROR, "§6.5.3"),
    ("GOAWAY with a higher last id than before",
     lambda s: [(GOAWAY, 0, 0, word(s + 4, 0)), (GOAWAY, 0, 0, word(s + 6, 0))], p.PROTOCOL_ERROR, "§6.8"),
    ("PUSH_PROMISE", lambda s: [(PUSH_PROMISE, END_HEADERS, s, word(2) + b"\x82\x84\x86")], p.PROTOCOL_ERROR, "§8.4"),
    ("PUSH_PROMISE cut in two", lambda s: [(PUSH_PROMISE, 0, s, word(2) + b"\x82"), (CONTINUATION, END_HEADERS, s, b"\x84")],
     p.PROTOCOL_ERROR, "§8.4"),

    ("HEADERS on a stream that was never opened", lambda s: [(HEADERS, END_HEADERS, 99, STATUS_200)], p.PROTOCOL_ERROR, "§5.1"),
    ("DATA on a stream that was never opened", lambda s: [(DATA, 0, 99, b"x")], p.PROTOCOL_ERROR, "§5.1"),
    ("RST_STREAM on a stream that was never opened", lambda s: [(RST_STREAM, 0, 99, word(8))], p.PROTOCOL_ERROR, "§5.1"),
    ("WINDOW_UPDATE on a stream that was never opened", lambda s: [(WINDOW_UPDATE, 0, 99, word(1))], p.PROTOCOL_ERROR, "§5.1"),
    ("HEADERS on a stream of the server's", lambda s: [(HEADERS, END_HEADERS, 2, STATUS_200)], p.PROTOCOL_ERROR, "§5.1"),
    ("DATA behind the end of a stream", lambda s: [(HEADERS, END_HEADERS | END_STREAM, s, STATUS_200), (DATA, 0, s, b"x")],
     p.STREAM_CLOSED, "§5.1"),
    ("HEADERS behind the end of a stream", lambda s: [(HEADERS, END_HEADERS | END_STREAM, s, STATUS_200),
                                                     (HEADERS, END_HEADERS, s, STATUS_200)],
     p.STREAM_CLOSED, "§5.1"),
    ("DATA behind an own RST_STREAM and the end", lambda s: [(HEADERS, END_HEADERS | END_STREAM, s, STATUS_200),
                                                            (RST_STREAM, 0, s, word(0)), (DATA, 0, s, b"x")],
     p.STREAM_CLOSED, "§5.1"),
]

# Like the list above, for frames that end only their stream.
_OF_THE_STREAM = [
    ("PRIORITY of 4 bytes", lambda s: [(PRIORITY, 0, s, bytes(4))], p.FRAME_SIZE_ERROR, "§6.3"),
    ("padded DATA without a length", lambda s: [(HEADERS, END_HEADERS, s, STATUS_200), (DATA, PADDED, s, b"")], p.FRAME_SIZE_ERROR,
     "§4.2"),
    ("DATA longer than a frame may be", lambda s: [(HEADERS, END_HEADERS, s, STATUS_200), (DATA, 0, s, bytes(16385))],
     p.FRAME_SIZE_ERROR, "§4.2"),
    ("a frame of an unknown type, longer than a frame may be", lambda s: [(200, 0, s, bytes(16385))], p.FRAME_SIZE_ERROR,
     "§4.2"),
    ("WINDOW_UPDATE of 0 on a stream", lambda s: [(WINDOW_UPDATE, 0, s, word(0))], p.PROTOCOL_ERROR, "§6.9"),
    ("WINDOW_UPDATE beyond 2^31-1 on a stream", lambda s: [(WINDOW_UPDATE, 0, s, word(LARGEST))], p.FLOW_CONTROL_ERROR,
     "§6.9.1"),
    ("two WINDOW_UPDATE that pass 2^31-1 together",
     lambda s: [(WINDOW_UPDATE, 0, s, word(LARGEST - 65535)), (WINDOW_UPDATE, 0, s, word(2))], p.FLOW_CONTROL_ERROR,
     "§6.9.1"),
]


def checks(scenario):
    for name, frames, code, rule in _OF_THE_CONNECTION:
        yield scenario(f"{name}: the connection ends, each request says why and how far it came",
                       _ends_connection(frames), *POST, "-n", "3", "-c", "3", *ONE,
                       expect=_connection_ended(frames, code, rule))
    for name, frames, code, rule in _OF_THE_STREAM:
        yield scenario(f"{name}: its stream is reset, no other", _ends_stream(frames), *POST, "-n", "4", "-c", "2", *ONE,
                       expect=_stream_ended(frames, code, rule))

    def not_settings_first(first):
        def script(c):
            c.frame(*first)
            c.drain()
        return script
    for name, first in (("PING", (PING, 0, 0, bytes(8))), ("an acknowledgement", (SETTINGS, ACK, 0, b"")),
                        ("WINDOW_UPDATE", (WINDOW_UPDATE, 0, 0, word(1)))):
        yield scenario(f"{name} in place of the first SETTINGS fails the dial", not_settings_first(first), *ONE,
                       expect=failed("protocolViolation", "neverSent", "§3.4", requests=0))


def _ends_connection(frames):
    """Three requests: the frames are on the stream of one, one has half an answer, and one waits."""
    def script(c):
        c.handshake()
        about, half, _ = sorted(c.request() for _ in range(3))
        c.head(half, (":status", 200))
        c.data(half, b"half")
        # The client must have read the half answer first, because it changes the client's report of the request.
        c.ping()
        c.log.about, c.log.half = c.requests[about], c.requests[half]
        # In one write, so that no frame is still on its way when the client closes.
        c.raw(b"".join(p.framed(*frame) for frame in frames(about)))
        c.drain()
    return script


def _ends_stream(frames):
    """Two requests: the frames are on the stream of one. The other is answered, and so are later requests."""
    def script(c):
        c.handshake()
        about, other = sorted(c.request() for _ in range(2))
        c.log.about = c.requests[about]
        c.raw(b"".join(p.framed(*frame) for frame in frames(about)))
        c.answer(other)
        c.serve()
    return script


def _outcome(frames):
    """The expected end of the request on whose stream the frames are: only the frames before the last one are valid."""
    kind, flags, _, payload = frames[0]
    if len(frames) > 1 and kind == HEADERS and flags & END_HEADERS and payload == STATUS_200:
        return "answered" if flags & END_STREAM else "protocolViolation/responseStarted"
    if len(frames) > 1 and kind == RST_STREAM:
        return "streamReset/ambiguous"
    return "protocolViolation/ambiguous"


def _account(run, arrival):
    """The tool's report of a request that arrived, and its message."""
    index = int(arrival.pseudo(":path").partition("-")[2].partition("?")[0])
    line = next(line for line in run.lines if line["index"] == index)
    error = line.get("error")
    return (f"{error['code']}/{error['progress']}", error["message"]) if error else ("answered", "")


def _connection_ended(frames, code, rule):
    def expect(run, log):
        problems = []
        for arrival in log.requests:
            expected = "protocolViolation/ambiguous"
            if arrival is log.about:
                expected = _outcome(frames(arrival.stream))
            elif arrival is log.half:
                expected = "protocolViolation/responseStarted"
            account, message = _account(run, arrival)
            if account != expected:
                problems.append(f"the request of {arrival} is {account}, not {expected}")
            if account.startswith("protocolViolation") and f"(RFC 9113 {rule}, " not in message:
                problems.append(f"the message does not name {rule}: {message}")
        if [code for _, code in log.goaways] != [code]:
            problems.append(f"GOAWAY {log.goaways}, not {code}")
        if log.connections != 1 or len(log.requests) != 3:
            problems.append(f"{len(log.requests)} requests on {log.connections} connections")
        return problems
    return expect


def _stream_ended(frames, code, rule):
    def expect(run, log):
        problems = []
        for arrival in log.requests:
            expected = _outcome(frames(arrival.stream)) if arrival is log.about else "answered"
            account, message = _account(run, arrival)
            if account != expected:
                problems.append(f"the request of {arrival} is {account}, not {expected}")
            named = "rules on the stream: " in message and f"(RFC 9113 {rule}, " in message
            if account != "answered" and not named:
                problems.append(f"the message does not name {rule}: {message}")
        if log.resets != [(1, log.about.stream, code)]:
            problems.append(f"resets {log.resets}, not {code} on stream {log.about.stream}")
        if any(code for _, code in log.goaways):
            problems.append(f"GOAWAY {log.goaways}")
        if log.connections != 1 or len(log.requests) != 4:
            problems.append(f"{len(log.requests)} requests on {log.connections} connections")
        return problems
    return expect
