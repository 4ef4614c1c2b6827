"""A TCP relay on loopback, in a thread. Forwards each side's bytes to the other."""

import asyncio
import threading


class RelayedConnection:
    """One client's connection, and the relay's connection to the server."""

    def is_passed(self, data, is_from_client):
        """Whether the relay forwards these bytes; also called at the end of a side, with b""."""
        return True

    async def forward(self, reader, writer, is_from_client):
        try:
            while data := await reader.read(65536):
                if self.is_passed(data, is_from_client):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        if self.is_passed(b"", is_from_client):
            writer.close()


class Relay:
    """Listens on `port` and forwards to `target`. A subclass decides what a connection does with the bytes."""

    def __init__(self, target):
        self.target = target
        self.accepted = 0
        # The loop keeps only weak references to tasks, and so do the streams that they wait for.
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the relay did not start")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def opened(self):
        """Makes the object of a new connection."""
        return RelayedConnection()

    def closed(self, connection):
        """Called when both sides have ended."""

    def on_loop(self, work):
        """Runs `work` on the relay's loop, between two pieces of data, and returns its result."""
        async def run():
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        self._loop.close()

    async def _accept(self, reader, writer):
        self.accepted += 1
        connection = self.opened()
        self._tasks.add(asyncio.current_task())
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(connection.forward(reader, upstream_writer, True),
                                 connection.forward(upstream_reader, writer, False))
        except (OSError, asyncio.CancelledError):
            # The task was cancelled because the relay stops.
            writer.close()
        finally:
            self.closed(connection)
            self._tasks.discard(asyncio.current_task())
