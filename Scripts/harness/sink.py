"""An HTTP/1.1 server in a thread, behind a proxy. Counts the bytes of request bodies."""

import asyncio
import threading


class Head:
    """A request's method, target and fields; field names are in lower case."""

    def __init__(self, text):
        first, *rest = text.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        self.fields = [(line.split(":", 1)[0].lower(), line.split(":", 1)[1].strip()) for line in rest if ":" in line]

    def field(self, name):
        return ", ".join(value for key, value in self.fields if key == name)


class Sink:
    """Counts the bytes of each request body, chunked or not, and answers with the count."""

    def __init__(self):
        self.bodies = []
        self.framings = []
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._ready.wait(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20,
                                                                   backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self.loop.run_forever()
        server.close()
        # A connection that is still open has a task that reads from it.
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _serve(self, reader, writer):
        try:
            while text := await reader.readuntil(b"\r\n\r\n"):
                await self._respond(Head(text), reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, asyncio.CancelledError):
            # The connection has ended, or `stop` ends it.
            pass
        finally:
            writer.close()

    async def _respond(self, head, reader, writer):
        count = await self._count(head, reader)
        self.bodies.append(count)
        self._answer(writer, f"{count}\n".encode())

    def _answer(self, writer, body, *fields, status="200 OK"):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        writer.write("".join(line + "\r\n" for line in lines).encode() + b"\r\n" + body)

    async def _count(self, head, reader, consume=lambda piece: None):
        """The length of the body. Passes each piece of it to `consume`."""
        if "chunked" in head.field("transfer-encoding").lower():
            self.framings.append("chunked")
            total = 0
            while size := int((await reader.readline()).split(b";")[0], 16):
                await self._skip(reader, size, consume)
                await reader.readexactly(2)
                total += size
            while (await reader.readline()).strip():
                pass
            return total
        length = int(head.field("content-length") or 0)
        self.framings.append("length")
        await self._skip(reader, length, consume)
        return length

    async def _skip(self, reader, size, consume):
        while size:
            piece = await reader.read(min(size, 1 << 18))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            consume(piece)
            size -= len(piece)
