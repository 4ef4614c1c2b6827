"""The HTTP/1.1 server behind nginx and HAProxy: records each request, and answers as a check needs."""

from harness.http2.ledger import Arrival
from harness.sink import Sink

# Fields that a proxy adds, removes or writes in another form.
ADDED_BY_PROXIES = {"connection", "transfer-encoding"}


class Recorder(Sink):
    """A sink that records each request, converted to the HTTP/2 request that the proxy received.

    `answer_fields` returns the fields of the response to a target, as (name, value). `scheme` is that of the client's URL: the
    server does not see it.
    """

    def __init__(self, answer_fields=lambda target: (), scheme="https"):
        # Set these first: the base class starts the thread that uses them.
        self.arrivals = []
        self._scheme = scheme
        self._answer_fields = answer_fields
        super().__init__()

    async def _respond(self, head, reader, writer):
        arrival = Arrival("the proxy", len(self.arrivals) + 1, _as_http2(head, self._scheme))
        self.arrivals.append(arrival)
        count = await self._count(head, reader, arrival.take)
        arrival.ended = True
        self.bodies.append(count)
        fields = [f"{name}: {value}" for name, value in self._answer_fields(head.target)]
        self._answer(writer, f"{count}\n".encode(), *fields)


def _as_http2(head, scheme):
    """The fields in their HTTP/2 form: `Host` becomes `:authority`."""
    pseudo = [(":method", head.method), (":scheme", scheme), (":authority", head.field("host")), (":path", head.target)]
    fields = []
    for name, value in head.fields:
        if name == "cookie":
            fields += [(name, pair.strip()) for pair in value.split(";")]
        elif name != "host":
            fields.append((name, value))
    return pseudo + fields
