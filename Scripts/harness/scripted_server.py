"""A server on loopback that follows a script for each connection, and records everything that it receives."""

import socket
import struct
import threading
import time


class Request:
    """One complete request as received."""

    def __init__(self, method, target, fields, body, connection):
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.connection = connection
        self.at = time.monotonic()

    def field(self, name):
        return ", ".join(value for key, value in self.fields if key == name.lower())


class Connection:
    """One accepted connection. `ended` is None while it is open, else "fin", "reset" or "server"."""

    def __init__(self, index, accepted):
        self.index = index
        self.socket = accepted
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = []
        self.buffer = b""
        self.ended = None
        self.ended_at = None
        self.opened_at = time.monotonic()
        self.answered_at = None

    def _end(self, how):
        if self.ended is None:
            self.ended = how
            self.ended_at = time.monotonic()

    def _fill(self):
        """Receives more; False at the end of the connection."""
        try:
            piece = self.socket.recv(65536)
        except (ConnectionResetError, TimeoutError, OSError) as error:
            self._end("reset" if isinstance(error, ConnectionResetError) else "server")
            return False
        if not piece:
            self._end("fin")
            return False
        self.buffer += piece
        return True

    def _take(self, size):
        while len(self.buffer) < size:
            if not self._fill():
                return None
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _take_until(self, mark):
        while mark not in self.buffer:
            if not self._fill():
                return None
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    def read_request(self):
        """The next request; None if the client closed the connection. The bytes of an incomplete request stay in `buffer`."""
        head = self._take_until(b"\r\n\r\n")
        if head is None:
            return None
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = [(line.split(":", 1)[0].lower(), line.split(":", 1)[1].strip()) for line in rest]
        request = Request(method, target, fields, b"", self)
        body = self._read_body(request)
        if body is None:
            return None
        request.body = body
        request.at = time.monotonic()
        self.requests.append(request)
        return request

    def _read_body(self, request):
        if "chunked" in request.field("transfer-encoding").lower():
            body = b""
            while True:
                line = self._take_until(b"\r\n")
                if line is None:
                    return None
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    while (line := self._take_until(b"\r\n")) != b"":
                        if line is None:
                            return None
                    return body
                piece = self._take(size + 2)
                if piece is None:
                    return None
                body += piece[:-2]
        return self._take(int(request.field("content-length") or 0))

    def has_input(self):
        """Whether a byte has arrived that has not been read; the client's close does not count."""
        if self.buffer:
            return True
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self._end("reset")

    def reply(self, body=b"clean", status="200 OK", fields=(), glued=b""):
        """Sends a complete response with a length, followed by `glued`, in one write."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.answered_at = time.monotonic()
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body + glued)

    def close(self):
        self._end("server")
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def reset(self):
        """Closes with a RST instead of a FIN."""
        self._end("server")
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_end(self):
        """Reads on without answering; the bytes stay in `buffer`."""
        while self._fill():
            pass


def serve(connection):
    """The well-behaved script: answers every request; the client decides when to close."""
    while connection.read_request():
        connection.reply()


class ScriptedServer:
    """Runs `script(connection)` in a thread for each connection; use it as a context manager."""

    def __init__(self, script=serve, backlog=512):
        self.script = script
        self.connections = []
        self.broken = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_open = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            connection.close()

    def _accept(self):
        while self.is_open:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(len(self.connections), accepted)
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.script(connection)
        except Exception as error:
            if self.is_open:
                self.broken.append(f"the server's script failed: {type(error).__name__}: {error}")
        finally:
            connection.close()

    @property
    def requests(self):
        """All requests of all connections, in the order of arrival."""
        return sorted((r for c in list(self.connections) for r in list(c.requests)), key=lambda request: request.at)

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def wait_for(self, condition, seconds=10):
        """Polls until the condition holds; False if it does not within the time."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True
