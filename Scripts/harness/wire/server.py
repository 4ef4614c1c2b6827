"""A server made of PyPI's h2, without a socket. It answers each message of the Swift side with one message.

A message is a letter, a length of four bytes, and bytes. The client's letters are `N`: a new connection with the given seed;
`B`: bytes of the connection; `F`: the same, and the server begins nothing new; `E`: the end of the connection. The server
answers `E` with a record of what it received and sent (JSON), and all others with the bytes that it sends. An answer has no
letter.
"""

import json
import random

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from harness.wire.fields import Drawing, table_size
from harness.wire.files import encoded

Codes = h2.settings.SettingCodes


class Stream:
    """What the server received and sent on a stream."""

    def __init__(self):
        self.received = {"sections": [], "body": bytearray(), "ended": False, "reset": False}
        self.sent = {"sections": [], "body": bytearray(), "ended": False, "reset": False}

    def told(self):
        return {side: {**content, "body": encoded(bytes(content["body"]))}
                for side, content in (("received", self.received), ("sent", self.sent))}


def _told(fields):
    return [[encoded(bytes(name)), encoded(bytes(value))] for name, value in fields]


class Connection:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.drawing = Drawing(self.random)
        self.streams = {}
        self.window = self.random.randint(0, 70_000)
        self.problem = None
        self.events = 0
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_inbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        # In force after the client's acknowledgement, which the client sends before its first request.
        self.h2.initiate_connection()
        self.h2.update_settings({
            Codes.HEADER_TABLE_SIZE: table_size(self.random), Codes.MAX_CONCURRENT_STREAMS: 50,
            Codes.MAX_HEADER_LIST_SIZE: 1 << 20, Codes.INITIAL_WINDOW_SIZE: self.window,
            Codes.MAX_FRAME_SIZE: self.random.randint(16_384, 70_000)})

    def receive(self, content, is_finishing):
        """Takes the client's bytes and returns the server's bytes."""
        if self.problem is None:
            try:
                for event in self.h2.receive_data(content):
                    self._note(event)
                if is_finishing:
                    self._finish()
                else:
                    for _ in range(self.random.randint(0, 4)):
                        self._act()
            except h2.exceptions.ProtocolError as error:
                self.problem = f"{type(error).__name__}: {error}"
        return self.h2.data_to_send()

    def told(self):
        return {"problem": self.problem, "events": self.events,
                "streams": {str(number): stream.told() for number, stream in self.streams.items()}}

    # Input from the client.

    def _note(self, event):
        self.events += 1
        match event:
            case h2.events.RequestReceived():
                self.streams[event.stream_id] = Stream()
                self._received(event)["sections"].append(_told(event.headers))
            case h2.events.TrailersReceived():
                self._received(event)["sections"].append(_told(event.headers))
            case h2.events.DataReceived():
                self._received(event)["body"] += event.data
                # Gives the windows of streams back later, in some cases; the connection's window at once.
                if event.flow_controlled_length:
                    self.h2.increment_flow_control_window(event.flow_controlled_length)
            case h2.events.StreamEnded(): self._received(event)["ended"] = True
            case h2.events.StreamReset():
                stream = self.streams[event.stream_id]
                stream.received["reset"] = True
                # If the server has reset a stream itself, h2 reports frames that follow in the same way.
                if not event.remote_reset and not stream.sent["reset"]:
                    self.problem = f"h2 resets stream {event.stream_id}: {event.error_code!r}"
            case h2.events.ConnectionTerminated(): pass

    def _received(self, event):
        return self.streams[event.stream_id].received

    # Output of the server.

    def _writable(self):
        return [number for number, stream in self.streams.items()
                if not (stream.sent["ended"] or stream.sent["reset"] or stream.received["reset"])]

    def _act(self):
        draw = self.random
        kind = draw.randrange(12)
        if kind == 10:
            return self.h2.ping(draw.randbytes(8))
        if kind == 11:
            return self._change_settings()
        writable = self._writable()
        if not writable:
            return None
        number = draw.choice(writable)
        if kind < 3:
            return self._send_section(number)
        if kind < 8:
            return self._send_data(number, draw.randint(0, 20_000), draw.random() < 0.2)
        if kind == 8:
            return self._open_window(number)
        if draw.random() < 0.3:
            self.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            self.streams[number].sent["reset"] = True
        return None

    def _change_settings(self):
        draw = self.random
        # Never lower: h2 treats an empty DATA frame on a window below 0 as a violation.
        self.window += draw.randint(0, 30_000)
        values = {Codes.HEADER_TABLE_SIZE: table_size(draw), Codes.INITIAL_WINDOW_SIZE: self.window,
                  Codes.MAX_FRAME_SIZE: draw.randint(16_384, 100_000),
                  Codes.MAX_CONCURRENT_STREAMS: draw.randint(0, 60)}
        self.h2.update_settings({key: values[key] for key in draw.sample(sorted(values), draw.randint(1, 3))})

    def _open_window(self, number):
        if not self.streams[number].received["ended"]:
            self.h2.increment_flow_control_window(self.random.randint(1, 50_000), number)

    def _send_section(self, number, ends=False):
        """Sends a response's head; the next sections are trailers, which end the stream."""
        stream = self.streams[number].sent
        is_trailer = bool(stream["sections"])
        if is_trailer and not ends and self.random.random() < 0.5:
            return
        # h2 cannot write a section without a field.
        first = (b"x-sum", b"1") if is_trailer else (b":status", b"200")
        drawn = self.drawing.section(0, 8)
        fields = [first] + [(name, value) for name, value, _ in drawn if not name.startswith(b":")]
        ends = ends or is_trailer or self.random.random() < 0.2
        self.h2.send_headers(number, fields, end_stream=ends)
        stream["sections"].append(_told(fields))
        stream["ended"] = ends

    def _send_data(self, number, count, ends):
        stream = self.streams[number].sent
        if not stream["sections"]:
            return
        room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
        padding = self.random.randint(0, 255) if self.random.random() < 0.3 else None
        extra = 0 if padding is None else padding + 1
        count = min(count, room - extra)
        if count < 0 or (count == 0 and not ends):
            return
        content = self.random.randbytes(count)
        self.h2.send_data(number, content, end_stream=ends, pad_length=padding)
        stream["body"] += content
        stream["ended"] = ends

    def _finish(self):
        """Ends all open streams, and gives the client all windows that it needs."""
        for number in self._writable():
            if not self.streams[number].sent["sections"]:
                self._send_section(number)
        for number in self._writable():
            self.h2.end_stream(number)
            self.streams[number].sent["ended"] = True


def _read(source):
    head = source.read(5)
    if len(head) < 5:
        return None, b""
    return head[:1], source.read(int.from_bytes(head[1:], "big"))


def serve(folder, result):
    """Answers until the Swift side closes; stores the record in `result`."""
    connection = None
    with open(folder / "to-server", "rb") as source, open(folder / "to-client", "wb") as target:
        while True:
            letter, content = _read(source)
            if letter is None:
                return
            if letter == b"N":
                connection = Connection(int.from_bytes(content, "big"))
                answer = connection.h2.data_to_send()
            elif letter == b"E":
                told = connection.told()
                answer = json.dumps(told).encode()
                result["connections"] += 1
                result["events"] += told["events"]
                result["streams"] += len(told["streams"])
                if told["problem"]:
                    result["problems"].append(told["problem"])
            else:
                answer = connection.receive(content, letter == b"F")
            target.write(len(answer).to_bytes(4, "big") + answer)
            target.flush()
