"""A TCP proxy whose connections can be made silent: it reads and drops the bytes of both sides, and sends no signal."""

from harness.relay import Relay, RelayedConnection


class SilencingProxy(Relay):
    """Forwards bytes to `target` on loopback. `silence()` drops the bytes of both directions on every open connection."""

    def __init__(self, target):
        super().__init__(target)
        self.silenced = 0
        self._open = set()

    def opened(self):
        connection = _Connection()
        self._open.add(connection)
        return connection

    def closed(self, connection):
        self._open.discard(connection)

    def silence(self):
        """Silences the open connections; returns how many. The proxy forwards later connections as before."""
        def silence():
            for connection in self._open:
                connection.is_silent = True
            self.silenced += len(self._open)
            return len(self._open)

        return self.on_loop(silence)


class _Connection(RelayedConnection):
    def __init__(self):
        self.is_silent = False

    def is_passed(self, data, is_from_client):
        # The end of one side is lost on a silent path, too.
        return not self.is_silent
