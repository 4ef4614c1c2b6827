"""The HTTP/1.1 server behind nginx and HAProxy: records each request, and answers with what a check wants."""

from harness.http2.ledger import Arrival
from harness.sink import Sink

# Fields that a proxy puts in, leaves out or writes in its own way.
ADDED_BY_PROXIES = {"connection", "transfer-encoding"}


class Recorder(Sink):
    """A sink that remembers what arrived, as the HTTP/2 request that the proxy had got.

    `answer_fields` says of a target which fields, as (name, value), its response has.
    """

    def __init__(self, answer_fields=lambda target: ()):
        # The base class starts the thread that uses them.
        self.arrivals = []
        self._answer_fields = answer_fields
        super().__init__()

    async def _respond(self, head, reader, writer):
        arrival = Arrival("the proxy", len(self.arrivals) + 1, _as_http2(head))
        self.arrivals.append(arrival)
        count = await self._count(head, reader, arrival.take)
        arrival.ended = True
        self.bodies.append(count)
        fields = [f"{name}: {value}" for name, value in self._answer_fields(head.target)]
        self._answer(writer, f"{count}\n".encode(), *fields)


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
