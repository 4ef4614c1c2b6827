"""An HTTP/2 server that follows a script, frame by frame. The script may break rules.

Uses hyperframe and hpack, the parts of `h2` (PyPI). It does not use h2's connection, because that refuses to break a rule.
"""

import contextlib
import hashlib
import socket
import ssl
import struct
import threading
import time

from hpack import Decoder, Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)

from harness.http2.ledger import Arrival

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 2, 3, 5, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 7, 8, 9, 11, 13


def framed(kind, flags, stream, payload):
    """A frame's bytes, valid or not."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Gone(Exception):
    """The client has closed the connection."""


class Connection:
    """One accepted connection: frames in, frames out, and a record of both."""

    def __init__(self, socket, number, log):
        self.socket = socket
        self.number = number
        self.log = log
        self.buffer = b""
        self.decoder = Decoder()
        self.encoder = Encoder()
        self.requests = {}
        self.bodies = {}
        # The field section that is arriving, and whether it ends its stream.
        self._section, self._ends = b"", False
        self.resets = {}
        self.goaway = None
        self.pings = []
        self.pongs = []
        self.answers_pings = True
        self.credits = True
        self.client_settings = {}
        # The WINDOW_UPDATE frames that arrived.
        self.updates = []
        # The client's HPACK table sizes that it has not acknowledged; None for SETTINGS without a size.
        self._table_sizes = []

    def secure(self, context):
        """Performs the TLS handshake."""
        self.socket.settimeout(10)
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except OSError as error:
            raise Gone() from error

    def read(self, timeout=5):
        """The next frame; None if none arrived in time. Answers PINGs and SETTINGS, and gives windows back."""
        end = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9:9 + length]))
                    self.buffer = self.buffer[9 + length:]
                    self._note(frame)
                    return frame
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 20)
            except socket.timeout:
                return None
            except OSError as error:
                raise Gone() from error
            if not data:
                raise Gone()
            self.buffer += data

    def _note(self, frame):
        if isinstance(frame, (HeadersFrame, ContinuationFrame)):
            if isinstance(frame, HeadersFrame):
                self._section, self._ends = b"", "END_STREAM" in frame.flags
            self._section += frame.data
            if "END_HEADERS" in frame.flags:
                self._note_section(frame.stream_id)
        elif isinstance(frame, DataFrame):
            self.bodies[frame.stream_id] = self.bodies.get(frame.stream_id, b"") + frame.data
            self.requests[frame.stream_id].take(frame.data)
            if "END_STREAM" in frame.flags:
                self.requests[frame.stream_id].ended = True
            if self.credits and frame.flow_controlled_length:
                for stream in (0, frame.stream_id):
                    update = WindowUpdateFrame(stream)
                    update.window_increment = frame.flow_controlled_length
                    self.send(update)
        elif isinstance(frame, RstStreamFrame):
            self.resets[frame.stream_id] = frame.error_code
            self.log.resets.append((self.number, frame.stream_id, frame.error_code))
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame.error_code
            self.log.goaways.append((self.number, frame.error_code))
        elif isinstance(frame, WindowUpdateFrame):
            self.updates.append(frame)
        elif isinstance(frame, SettingsFrame) and "ACK" in frame.flags:
            self._table_size_acknowledged()
        elif isinstance(frame, SettingsFrame):
            self.client_settings.update(frame.settings)
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" in frame.flags:
            self.pongs.append(frame.opaque_data)
        elif isinstance(frame, PingFrame):
            self.pings.append(frame.opaque_data)
            if self.answers_pings:
                answer = PingFrame(0, opaque_data=frame.opaque_data)
                answer.flags.add("ACK")
                self.send(answer)

    def _note_section(self, stream):
        fields = self.decoder.decode(self._section)
        if stream in self.requests:
            self.requests[stream].trailers = dict(fields)
        else:
            self.requests[stream] = Arrival(self.number, stream, fields)
            self.log.requests.append(self.requests[stream])
        if self._ends:
            self.requests[stream].ended = True

    def send(self, *frames):
        self.raw(b"".join(frame.serialize() for frame in frames))

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone() from error

    def frame(self, kind, flags, stream, payload):
        """Sends a frame that hyperframe refuses to make."""
        self.raw(framed(kind, flags, stream, payload))

    def handshake(self, **settings):
        """Reads the client's preface and sends our settings: `max_concurrent_streams=1` and the like."""
        while len(self.buffer) < len(PREFACE):
            data = self.socket.recv(65536)
            if not data:
                raise Gone()
            self.buffer += data
        assert self.buffer.startswith(PREFACE), self.buffer[:40]
        self.buffer = self.buffer[len(PREFACE):]
        codes = {name: getattr(SettingsFrame, name.upper()) for name in settings}
        self._table_sizes.append(None)
        self.send(SettingsFrame(0, settings={codes[name]: value for name, value in settings.items()}))
        return self

    def request(self, timeout=10):
        """The number of the next request that has arrived completely."""
        seen = set(getattr(self, "_taken", set()))
        end = time.monotonic() + timeout
        while True:
            for stream, request in self.requests.items():
                if request.ended and stream not in seen:
                    self._taken = seen | {stream}
                    return stream
            left = end - time.monotonic()
            if left <= 0 or self.read(left) is None:
                raise TimeoutError("no request came")

    def head(self, stream, *fields, end=False):
        block = self.encoder.encode([(str(n), str(v)) for n, v in fields])
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        for index, piece in enumerate(pieces):
            frame = ContinuationFrame(stream, piece) if index else HeadersFrame(stream, piece)
            if index == len(pieces) - 1:
                frame.flags.add("END_HEADERS")
            if index == 0 and end:
                frame.flags.add("END_STREAM")
            self.send(frame)

    def data(self, stream, data, end=False):
        frame = DataFrame(stream, data)
        if end:
            frame.flags.add("END_STREAM")
        self.send(frame)

    def answer(self, stream, status=200, body=None, *fields):
        """Sends a complete response. The default body names the request, so that the client cannot confuse two answers."""
        if body is None:
            body = f"answer to {self.requests[stream].pseudo(':path')}".encode()
        self.requests[stream].answer = hashlib.sha256(body).hexdigest()
        self.head(stream, (":status", status), ("content-length", len(body)), *fields, end=not body)
        if body:
            self.data(stream, body, end=True)

    def reset(self, stream, code):
        self.send(RstStreamFrame(stream, error_code=code))

    def resize_table(self, size):
        """Sets the limit of the client's HPACK table. The decoder uses the limit after the client has acknowledged it.

        Only for scripts that send no other SETTINGS after the handshake.
        """
        self._table_sizes.append(size)
        self.send(SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: size}))

    def _table_size_acknowledged(self):
        size = self._table_sizes.pop(0) if self._table_sizes else None
        if size is not None:
            self.decoder.max_allowed_table_size = size

    def expects_body(self, stream, body):
        """Tells the ledger the answer's body, for an answer that the script has written as separate frames."""
        self.requests[stream].answer = hashlib.sha256(body).hexdigest()

    def ping(self, timeout=10):
        """Waits until the client has read all frames sent so far."""
        data = struct.pack(">Q", len(self.pongs) + 1)
        self.send(PingFrame(0, opaque_data=data))
        end = time.monotonic() + timeout
        while data not in self.pongs:
            if self.read(max(0, end - time.monotonic())) is None:
                raise TimeoutError("a PING was not answered")

    def grows_to(self, stream, total, timeout=5):
        """Waits until `total` bytes of a body have arrived. Records a problem if fewer or more arrive.

        A PING is not enough: its answer may overtake the bytes that an earlier WINDOW_UPDATE has allowed.
        """
        end = time.monotonic() + timeout
        while len(self.bodies.get(stream, b"")) < total and self.read(max(0, end - time.monotonic())) is not None:
            pass
        self.ping()
        came = len(self.bodies.get(stream, b""))
        if came != total:
            self.log.problems.append(f"{came} bytes came, the windows allowed {total}")

    def go_away(self, last, code=NO_ERROR):
        self.send(GoAwayFrame(0, last_stream_id=last, error_code=code))

    def serve(self, limit=None):
        """Answers requests until the client closes."""
        served = 0
        while limit is None or served < limit:
            self.answer(self.request(timeout=30))
            served += 1

    def cut(self):
        """Closes the connection without a GOAWAY."""
        self.socket.close()
        raise Gone()

    def drain(self, seconds=10):
        """Reads until the client closes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(max(0.01, end - time.monotonic()))


class Log:
    """The records of all connections of a server."""

    def __init__(self):
        self.connections = 0
        # An `Arrival` for each request whose fields have arrived completely, in order.
        self.requests = []
        self.resets = []
        self.goaways = []
        self.problems = []
        self.threads = []

    def settle(self, seconds=10):
        """Waits until every connection is read to its end: the client has exited, but its last bytes may be on their way."""
        end = time.monotonic() + seconds
        for thread in list(self.threads):
            thread.join(max(0, end - time.monotonic()))


@contextlib.contextmanager
def peer(script, certificates=None):
    """A server on loopback that runs `script(connection)` for each connection. Yields its port and log.

    `certificates`: a folder with both.pem, for TLS.
    """
    log = Log()
    context = None
    if certificates:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / "both.pem")
        context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    open_sockets = []

    def run(connection):
        try:
            if context:
                connection.secure(context)
            script(connection)
            with contextlib.suppress(Gone):
                connection.drain()
        except Gone:
            # The client may have sent its reason before it closed.
            with contextlib.suppress(Exception):
                connection.drain()
        except Exception as error:  # a script's own failure is the check's
            log.problems.append(f"peer: {type(error).__name__}: {error}")
        finally:
            connection.socket.close()

    def accept():
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            open_sockets.append(accepted)
            log.connections += 1
            thread = threading.Thread(target=run, args=(Connection(accepted, log.connections, log),), daemon=True)
            log.threads.append(thread)
            thread.start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], log
    finally:
        listener.close()
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
