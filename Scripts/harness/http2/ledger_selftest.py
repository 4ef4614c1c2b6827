"""Tests that the ledger reports requests that differ in one point."""

from harness.http2 import ledger, nghttpd_log

_AUTHORITY = "127.0.0.1:8099"
_ARGUMENTS = ["request", "--json", "-X", "POST", "-d", "body", "-H", "X-One: a", "-H", "X-One: b", "-H", "Cookie: c=1; d=2",
              "-H", "Connection: close", f"http://{_AUTHORITY}/first?", f"http://{_AUTHORITY}/second"]
_FIELDS = [(":method", "POST"), (":scheme", "http"), (":authority", _AUTHORITY), (":path", "/first?"), ("x-one", "a"),
           ("x-one", "b"), ("cookie", "c=1"), ("cookie", "d=2"), ("user-agent", "bowline/1.2.3-dev"),
           ("accept-encoding", "gzip, deflate"), ("content-length", "4")]
_ANSWERED = {"index": 0, "status": 200, "attempts": 1, "resends": 0, "requestsSent": 1, "connection": {"id": 1, "stream": 1},
             "sha256": "aa"}
_NEVER_SENT = {"index": 0, "attempts": 1, "resends": 0, "requestsSent": 1, "error": {"progress": "neverSent"}}


def _arrival(fields=_FIELDS, body=b"body", ended=True, trailers=None, stream=1):
    arrival = ledger.Arrival(1, stream, fields)
    arrival.take(body)
    arrival.ended, arrival.trailers, arrival.answer = ended, trailers, "aa"
    return arrival


def _logged(text):
    """The output of nghttpd for one request; its answer is the request's body."""
    (arrival,) = nghttpd_log.arrivals(text.splitlines(keepends=True))
    arrival.answer = "aa"
    return arrival


_LOG = "".join(f"[id=7] [  0.123] recv (stream_id=1{', sensitive' if name == 'cookie' else ''}) {name}: {value}\n"
               for name, value in _FIELDS) + """\
[id=7] [  0.124] recv HEADERS frame <length=99, flags=0x24, stream_id=1>
          ; END_HEADERS | PRIORITY
[id=7] [  0.125] recv DATA frame <length=3, flags=0x00, stream_id=1>
[id=7] [  0.125] send DATA frame <length=9, flags=0x01, stream_id=1>
[id=7] [  0.126] recv DATA frame <length=1, flags=0x01, stream_id=1>
          ; END_STREAM
[id=7] [  0.127] recv WINDOW_UPDATE frame <length=4, flags=0x00, stream_id=0>
          (window_size_increment=9)
"""


def _with(name, value):
    return [(key, value if key == name else old) for key, old in _FIELDS]


def _without(name):
    return [pair for pair in _FIELDS if pair[0] != name]


# description, the requests that arrived, the tool's output, whether the ledger must report a problem
_CASES = [
    ("the request itself", [_arrival()], [_ANSWERED], False),
    ("the other request", [_arrival(_with(":path", "/second"))], [], False),
    ("a body that was cut off", [_arrival(body=b"bo", ended=False)], [], False),
    ("fields in another order", [_arrival(_FIELDS[:4] + _FIELDS[:3:-1][:3] + _FIELDS[4:8])], [], False),
    ("a short body", [_arrival(body=b"bod")], [], True),
    ("a long body", [_arrival(body=b"body!")], [], True),
    ("another body", [_arrival(body=b"bodi")], [], True),
    ("another beginning of a body", [_arrival(body=b"bu", ended=False)], [], True),
    ("trailers", [_arrival(trailers={"x": "y"})], [], True),
    ("an unknown target", [_arrival(_with(":path", "/first"))], [], True),
    ("another method", [_arrival(_with(":method", "PUT"))], [], True),
    ("another scheme", [_arrival(_with(":scheme", "https"))], [], True),
    ("another authority", [_arrival(_with(":authority", "127.0.0.1"))], [], True),
    ("a field that is missing", [_arrival(_without("content-length"))], [], True),
    ("a field too many", [_arrival([*_FIELDS, ("x-two", "")])], [], True),
    ("a field twice", [_arrival([*_FIELDS, ("content-length", "4")])], [], True),
    ("another value", [_arrival(_with("x-one", "a"))], [], True),
    ("values in another order", [_arrival(_FIELDS[:4] + [_FIELDS[5], _FIELDS[4]] + _FIELDS[6:])], [], True),
    ("cookies in one", [_arrival([*_without("cookie"), ("cookie", "c=1; d=2")])], [], True),
    ("a field of the connection", [_arrival([*_FIELDS, ("connection", "close")])], [], True),
    ("another user agent", [_arrival(_with("user-agent", "curl/8.0"))], [], True),
    ("a pseudo-field behind a field", [_arrival(_FIELDS[1:] + _FIELDS[:1])], [], True),
    ("one more arrival than was sent", [_arrival(), _arrival(stream=3)], [_ANSWERED], True),
    ("an answer on another stream", [_arrival(stream=3)], [_ANSWERED], True),
    ("another request's answer", [_arrival()], [{**_ANSWERED, "sha256": "bb"}], True),
    ("an arrival that was never sent", [_arrival()], [_NEVER_SENT], True),
    ("nothing, and it was never sent", [], [_NEVER_SENT], False),
    ("a log of the request itself", [_logged(_LOG)], [_ANSWERED], False),
    ("a log of another value", [_logged(_LOG.replace("x-one: b", "x-one: c"))], [_ANSWERED], True),
    ("a log of a short body", [_logged(_LOG.replace("length=3", "length=2"))], [_ANSWERED], True),
    ("a log of a long body without its end", [_logged(_LOG.replace("length=1, flags=0x01", "length=2, flags=0x00"))], [_ANSWERED], True),
    ("a log of a request that was not answered on its stream", [_logged(_LOG.replace("stream_id=1", "stream_id=3"))], [_ANSWERED], True),
    ("an echo of another body", [_logged(_LOG)], [{**_ANSWERED, "sha256": "bb"}], True),
]


def check():
    """The problems and figures, for the report."""
    wrong = [what for what, arrivals, lines, complains in _CASES
             if bool(ledger.problems(_ARGUMENTS, lines, arrivals)) != complains]
    return [f"the verdict on {what} is wrong" for what in wrong], f"{len(_CASES)} cases"
