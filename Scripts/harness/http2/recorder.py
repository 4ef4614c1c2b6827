"""The HTTP/1.1 server behind nginx and HAProxy: records each request for the ledger."""

from harness.http2.ledger import Arrival
from harness.sink import Sink

# Fields that a proxy puts in, leaves out or writes in its own way.
ADDED_BY_PROXIES = {"connection", "transfer-encoding"}


class Recorder(Sink):
    """A sink that remembers what arrived, as the HTTP/2 request that the proxy had got."""

    def __init__(self):
        self.arrivals = []
        super().__init__()

    async def _respond(self, head, reader, writer):
        arrival = Arrival("the proxy", len(self.arrivals) + 1, _as_http2(head))
        self.arrivals.append(arrival)
        count = await self._count(head, reader, arrival.take)
        arrival.ended = True
        self.bodies.append(count)
        self._answer(writer, f"{count}\n".encode())


def _as_http2(head):
    """The fields as they were in HTTP/2; `Host` stands for `:authority`, and TLS ended at the proxy."""
    pseudo = [(":method", head.method), (":scheme", "https"), (":authority", head.field("host")), (":path", head.target)]
    fields = []
    for name, value in head.fields:
        if name == "cookie":
            fields += [(name, pair.strip()) for pair in value.split(";")]
        elif name != "host":
            fields.append((name, value))
    return pseudo + fields
