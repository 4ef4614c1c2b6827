"""An HTTP/1.1 server behind a proxy. Records the fields of each request, and answers with the fields that the target names."""

import urllib.parse

from harness.http2 import fields
from harness.sink import Sink


class Recorder(Sink):
    """A target is /fields?number=7&answer=61440: the response to request 7 has so many bytes of fields."""

    def __init__(self):
        # The base class starts the thread that appends to it.
        self.requests = []
        super().__init__()

    async def _respond(self, head, reader, writer):
        await self._count(head, reader)
        self.requests.append((head.target, head.fields))
        number, count = asked(head.target)
        answer = [f"{name}: {value}" for name, value in fields.answer_fields(number, count)]
        self._answer(writer, f"{number}\n".encode(), *answer)


def asked(target):
    """The number and the bytes of fields that a target asks for."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    return int(query["number"][0]), int(query["answer"][0])
