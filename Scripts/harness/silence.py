"""A TCP proxy whose connections can be made silent: what either side sends is read and thrown away, and nobody is told."""

import asyncio
import threading


class SilencingProxy:
    """Forwards bytes to `target` on loopback; `silence()` swallows both directions of every connection that is open."""

    def __init__(self, target):
        self.target = target
        self.accepted = 0
        self.silenced = 0
        self._open = set()
        # The loop itself holds tasks weakly, and so do the streams that they wait for.
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the proxy did not start")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def silence(self):
        """Silences the connections that are open now; returns how many. Later ones are forwarded as before."""
        async def run():
            for connection in self._open:
                connection.is_silent = True
            self.silenced += len(self._open)
            return len(self._open)

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
        connection = _Connection()
        self._open.add(connection)
        self._tasks.add(asyncio.current_task())
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(connection.forward(reader, upstream_writer),
                                 connection.forward(upstream_reader, writer))
        except (OSError, asyncio.CancelledError):
            # Cancelled: the proxy ends.
            writer.close()
        finally:
            self._open.discard(connection)
            self._tasks.discard(asyncio.current_task())


class _Connection:
    """One client's connection and the proxy's to the server."""

    def __init__(self):
        self.is_silent = False

    async def forward(self, reader, writer):
        try:
            while data := await reader.read(65536):
                if not self.is_silent:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        # The end of one side is lost on a silent path, too.
        if not self.is_silent:
            writer.close()
