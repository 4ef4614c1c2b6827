"""Compares each request that our server received with the tool's command line, and each answer with the one sent back.

A status does not show which request's fields or body arrived. So every request of a run has its own target, and each
arriving request must equal one of them: method, target, every field, and the body's bytes.
"""

import functools
import hashlib
import re
import urllib.parse

# The tool's options without a value; all other options have one.
_FLAGS = {"--json", "-v", "--verbose", "--quiet", "--fail", "--drop-body", "--no-decompress", "--http1", "--http2", "--h2c",
          "--insecure", "--no-pool", "--event-loop-executor", "--idempotent", "--no-resend",
          "--no-proxy"}
# Connection fields of HTTP/1.1 (RFC 9113 §8.2.2), which the client removes.
_CONNECTION_FIELDS = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
_METHODS_WITH_LENGTH = {"POST", "PUT", "PATCH"}
# Fields of every request: some stay in the compression table, one empties it, one never enters it.
STAMP = (("X-Stamp-First", "first"), ("X-Stamp-Long", "l" * 3000), ("X-Stamp-Last", "~last~"), ("Authorization", "Basic YTpi"))
_USER_AGENT = re.compile(r"bowline/[0-9A-Za-z.-]+")


def targets(count):
    """Paths of different lengths, one for each request of a run."""
    return [f"/request-{index}?{'~' * (index * 7 % 50)}" for index in range(count)]


class Arrival:
    """A request as a server received it."""

    def __init__(self, connection, stream, fields):
        self.connection = connection
        self.stream = stream
        self.fields = [(_text(name), _text(value)) for name, value in fields]
        self.ended = False
        self.trailers = None
        self.length = 0
        # None: the server reports only how many bytes arrived, not their values.
        self.bytes_hash = hashlib.sha256()
        # The hash of the answer's body, if the server sent a complete answer.
        self.answer = None

    def take(self, piece):
        """Counts a piece of the body."""
        self.length += len(piece)
        self.bytes_hash.update(piece)

    def pseudo(self, name):
        return next((value for key, value in self.fields if key == name), None)

    def __str__(self):
        return f"stream {self.stream} of connection {self.connection}"


def _text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


class Body:
    """The body on the tool's command line: text, or a file."""

    def __init__(self, text=None, file=None):
        self._text, self._file = text, file
        self.digest = functools.lru_cache(maxsize=None)(self._digest)

    def _pieces(self):
        if self._file is None:
            yield (self._text or "").encode()
            return
        with open(self._file, "rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    def _digest(self, length):
        """The hash of the first `length` bytes; None: the body is shorter."""
        result = hashlib.sha256()
        for piece in self._pieces():
            result.update(piece[:length])
            length -= len(piece[:length])
            if not length:
                break
        return None if length else result.digest()

    @functools.cached_property
    def length(self):
        return sum(len(piece) for piece in self._pieces())


class Asked:
    """A command line of `bowline request`, interpreted as its documentation says."""

    def __init__(self, arguments):
        self.method, self.fields, self.body = None, [], None
        urls, count, offers_codings = [], None, True
        words = iter([str(word) for word in arguments])
        if next(words) != "request":
            raise ValueError("the ledger reads `request` only")
        for word in words:
            if not word.startswith("-"):
                urls.append(word)
            elif word in _FLAGS:
                offers_codings = offers_codings and word != "--no-decompress"
            else:
                value = next(words)
                if word == "-X":
                    self.method = value
                elif word == "-H":
                    name, _, content = value.partition(":")
                    self.fields.append((name.strip().lower(), content.strip()))
                elif word == "-d":
                    self.body = Body(text=value)
                elif word == "--data-file":
                    self.body = Body(file=value)
                elif word == "-n":
                    count = int(value)
        self.method = self.method or ("POST" if self.body else "GET")
        self.urls = [urls[index % len(urls)] for index in range(count or len(urls))]
        self._add_own_fields(offers_codings)

    def _add_own_fields(self, offers_codings):
        """The fields that the client adds, and the form in which it writes the given fields."""
        self.authority = next((value for name, value in self.fields if name == "host"), None)
        names = {name for name, _ in self.fields}
        self.fields = [pair for name, value in self.fields if name != "host" and name not in _CONNECTION_FIELDS
                       for pair in _split(name, value)]
        if "user-agent" not in names:
            self.fields.append(("user-agent", _USER_AGENT))
        if "accept-encoding" not in names and offers_codings:
            self.fields.append(("accept-encoding", "gzip, deflate"))
        if self.body or self.method in _METHODS_WITH_LENGTH:
            self.fields.append(("content-length", str(self.body.length if self.body else 0)))

    @functools.cached_property
    def indices(self):
        """The requests by their target."""
        result = {}
        for index, url in enumerate(self.urls):
            # Does not use `urlsplit`, which drops a "?" without a query.
            _, slash, rest = url.partition("://")[2].partition("/")
            result.setdefault(slash + rest or "/", []).append(index)
        return result


def _split(name, value):
    """RFC 9113 §8.2.3: each pair of `cookie` is a separate field."""
    return [(name, pair.strip()) for pair in value.split(";")] if name == "cookie" else [(name, value)]


def differences(asked, arrival, added=()):
    """The problems of one request that arrived. `added`: fields that a proxy on the way adds or changes."""
    target = arrival.pseudo(":path")
    if target not in asked.indices:
        return [f"{arrival} came with the target {str(target)[:80]!r}, which was not asked for"]
    url = urllib.parse.urlsplit(asked.urls[asked.indices[target][0]])
    pseudo = {":method": asked.method, ":scheme": url.scheme, ":authority": asked.authority or url.netloc, ":path": target}
    problems = []
    came = [(name, value) for name, value in arrival.fields if name.startswith(":")]
    if sorted(came) != sorted(pseudo.items()):
        problems.append(f"pseudo-fields {came}, not {sorted(pseudo.items())}")
    if came != arrival.fields[:len(came)]:
        problems.append("a pseudo-field behind a field")
    problems += _field_differences(asked.fields, arrival.fields[len(came):], added)
    problems += _body_differences(asked.body or Body(), arrival)
    return [f"{arrival}, {target[:40]}: {problem}" for problem in problems]


def _field_differences(expected, came, added):
    """Fields of one name must keep their order. The client decides the order of names."""
    problems = []
    came = [pair for pair in came if pair[0] not in added]
    for name in sorted({name for name, _ in expected} | {name for name, _ in came}):
        if name in added:
            continue
        ours = [value for key, value in expected if key == name]
        theirs = [value for key, value in came if key == name]
        if len(ours) != len(theirs) or not all(_matches(*pair) for pair in zip(ours, theirs)):
            problems.append(f"{name}: {[value[:60] for value in theirs]} came, "
                            f"{[getattr(value, 'pattern', value)[:60] for value in ours]} was asked for")
    return problems


def _matches(expected, value):
    return expected.fullmatch(value) is not None if isinstance(expected, re.Pattern) else expected == value


def _body_differences(body, arrival):
    problems = []
    if arrival.trailers is not None:
        problems.append(f"trailers {arrival.trailers}")
    if arrival.ended and arrival.length != body.length:
        problems.append(f"a body of {arrival.length} bytes, not {body.length}")
    elif arrival.length > body.length:
        problems.append(f"{arrival.length} bytes of a body of {body.length}")
    elif arrival.bytes_hash and body.digest(arrival.length) != arrival.bytes_hash.digest():
        problems.append(f"other bytes among the first {arrival.length} of the body")
    return problems


def _outcome_differences(line, arrivals):
    """Compares the tool's report of a request with what arrived of it."""
    own = f"request {line['index']}"
    if len(arrivals) > line.get("requestsSent", len(arrivals)):
        return [f"{own} came {len(arrivals)} times, and was sent {line['requestsSent']} times by its account"]
    if "error" in line:
        never = line["error"]["progress"] == "neverSent" and line.get("attempts") == 1 and line.get("resends") == 0
        return [f"{own} came, and is called neverSent"] if never and arrivals else []
    stream = line.get("connection", {}).get("stream")
    if stream is None or "status" not in line:
        return []
    served = [arrival for arrival in arrivals if arrival.stream == stream]
    if not served:
        return [f"{own} was answered on stream {stream}, on which it did not come"]
    answers = {arrival.answer for arrival in served}
    if line.get("sha256") and None not in answers and line["sha256"] not in answers:
        return [f"{own} got the body of another answer"]
    return []


def problems(arguments, lines, arrivals, added=(), sees_streams=True):
    """All differences between a run of the tool and the requests that arrived, at most three.

    `lines` are the tool's lines, one for each request. `sees_streams`: the server is the client's peer, and not behind a proxy.
    """
    asked = Asked(arguments)
    found = [problem for arrival in arrivals for problem in differences(asked, arrival, added)]
    by_target = {}
    for arrival in arrivals:
        by_target.setdefault(arrival.pseudo(":path"), []).append(arrival)
    if sees_streams and all(len(indices) == 1 for indices in asked.indices.values()):
        target_of = {index: target for target, (index,) in asked.indices.items()}
        for line in lines:
            if line.get("index") in target_of:
                own = by_target.get(target_of[line["index"]], [])
                found += _outcome_differences(line, own)
    if len(found) > 3:
        found = found[:3] + [f"and {len(found) - 3} more differences"]
    return [f"ledger: {problem}" for problem in found]
