"""Draws field sections: names and values of any bytes, repeated and unique, shorter and longer than a table."""

NAMES = [
    b":status", b":path", b":method", b"accept", b"accept-encoding", b"age", b"authorization", b"cache-control",
    b"content-type", b"cookie", b"date", b"etag", b"location", b"server", b"set-cookie", b"user-agent", b"vary", b"x-a",
    b"x-request-id", b"x-b-c",
]
VALUES = [
    b"", b"200", b"404", b"GET", b"/", b"/index.html", b"gzip, deflate", b"text/html", b"no-cache", b"0", b"12345",
    b"Sat, 28 Nov 2026 09:00:00 GMT", b"a", b"private, max-age=0",
]
TABLE_SIZES = [0, 1, 31, 32, 33, 64, 100, 4095, 4096, 4097, 65_535, 65_536]
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789-"


def table_size(random):
    return random.choice(TABLE_SIZES) if random.random() < 0.5 else random.randint(0, 65_536)


class Drawing:
    """The fields of one connection. They repeat some of the earlier fields."""

    def __init__(self, random):
        self.random = random
        self.known = []

    def section(self, least=0, most=20):
        return [self.field() for _ in range(self.random.randint(least, most))]

    def field(self):
        random = self.random
        if self.known and random.random() < 0.33:
            return random.choice(self.known)
        name = random.choice(NAMES) if random.random() < 0.75 else bytes(random.choices(LETTERS, k=self._length(1, 40)))
        value = random.choice(VALUES) if random.random() < 0.5 else self._value(self._length(0, 60))
        field = (name, value, random.random() < 0.12)
        if len(self.known) < 64:
            self.known.append(field)
        else:
            self.known[random.randrange(64)] = field
        return field

    def _value(self, count):
        if self.random.random() < 0.3:
            return self.random.randbytes(count)
        return bytes(self.random.choices(range(0x20, 0x7F), k=count))

    def _length(self, least, most):
        kind = self.random.randrange(40)
        if kind == 0:
            return self.random.choice([126, 127, 128, 129, 254, 255, 256])
        return self.random.randint(1, 5_000) if kind == 1 else self.random.randint(least, most)
