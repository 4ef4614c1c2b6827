"""Makes the inputs in `Fuzz/Corpus` that end in numbers, from `Tests/Corpus` and the tables below.

An input is the bytes of a peer, followed by numbers that the target removes from its end (`Fuzz/FuzzTargets/FuzzInput.swift`).
Inputs of targets without numbers are text files, which are edited by hand.
"""

import base64
import gzip
import json
import pathlib
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
LONGEST = 1200
EVERY_BYTE = 16


class Number:
    """A number in a range, as `takeNumber(in:)` reads it."""

    def __init__(self, value, lowest=0, highest=255):
        self.value = value - lowest
        self.is_wide = highest - lowest + 1 > 256

    def taken(self):
        """The bytes of the number, in the order in which the target removes them from the end."""
        return [self.value >> 8, self.value & 255] if self.is_wide else [self.value]


def with_numbers(content, *numbers):
    taken = [byte for number in numbers for byte in number.taken()]
    return bytes(content) + bytes(reversed(taken))


def cuts(*places):
    return [Number(len(places)), *(Number(place, 0, 65_535) for place in places)]


def corpus_cases(limit, keep=lambda case: True):
    """Cases of `Tests/Corpus`, at most `limit` of a group, without the long ones."""
    counts = {}
    for line in (ROOT / "Tests" / "Corpus" / "http1-responses.jsonl").read_text().splitlines():
        case = json.loads(line)
        case["bytes"] = base64.b64decode(case["bytes_base64"])
        if len(case["bytes"]) > LONGEST or not keep(case):
            continue
        counts[case["group"]] = counts.get(case["group"], 0) + 1
        if counts[case["group"]] <= limit:
            yield case


def response():
    kinds = {"HEAD": 1, "CONNECT": 2}
    for case in corpus_cases(3):
        places = [place for place in case.get("chunking") or [] if place < 65_536][:8]
        kind = Number(kinds.get(case["method"], 0), 0, 3)
        yield case["id"], with_numbers(case["bytes"], kind, Number(case["eof"] == "close"), Number(0), *cuts(*places))
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    yield "upgrade", with_numbers(upgrade, Number(3), Number(0), Number(0), *cuts(20))
    limits = [Number(256, 1, 256), Number(32, 1, 64), Number(3), Number(2), Number(1), Number(4), Number(8), Number(1)]
    small = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n")
    yield "small-limits", with_numbers(small, Number(0), Number(1), Number(1), *limits, Number(EVERY_BYTE))


def differential():
    def is_accepted(case):
        return case["expect"]["outcome"] == "accept" and case["method"] == "GET"

    for case in corpus_cases(3, is_accepted):
        yield case["id"], with_numbers(case["bytes"], Number(case["eof"] == "close"))
    ok, chunked = b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    for name, content, is_closed in [
        ("upgrade-offered", ok + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok", 0),
        ("upgrade-alone", ok + b"Upgrade: h2c, x/1\r\n\r\nok", 1),
        ("connection-list", ok + b"Connection: keep-alive , x,close\r\nProxy-Connection: close\r\n\r\nok", 1),
        ("connection-odd", ok + b"Connection: ,, closed, keep-alive2, \xe9\r\nContent-Length: 0\r\n\r\n", 0),
        ("connection-chunked", ok + b"Connection: close, upgrade\r\nUpgrade: x\r\n" + chunked + b"\r\n", 0),
        ("body-like-lines", ok + b"Content-Length: 8\r\n\r\n a \r\n\tb ", 0),
        ("trailers", ok + chunked + b"X-Sum: \t1\r\nx-sum:2\r\nX-Empty:\r\nExpires: 0\r\n\r\n", 0),
        ("trailers-and-close", ok + b"Connection: close\r\n" + chunked + b"Via: 1.1 a\r\n\r\n", 1),
    ]:
        yield name, with_numbers(content, Number(is_closed))


def chunks():
    for case in corpus_cases(8, lambda case: case["group"] in ("chunked", "chunk-ext", "trailers")):
        _, _, body = case["bytes"].partition(b"\r\n\r\n")
        yield case["id"], with_numbers(body, *cuts(1, 3))
    for name, body in [
        ("every-extension", b'5;a;b=c;d="e\\"f";g = h\r\nhello\r\n0;x\r\n\r\n'),
        ("space", b"5 \t;a\r\nhello\r\n0\r\n\r\n"),
        ("largest", b"7FFFFFFFFFFFFFFF\r\nhello"), ("too-large", b"8000000000000000\r\nhello"),
        ("zeros", b"00000000005\r\nhello\r\n000\r\n\r\n"), ("left-over", b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("no-end", b"3\r\nabc\r\n"), ("bare-line-feed", b"3\nabc\n0\n\n"),
    ]:
        yield name, with_numbers(body, Number(EVERY_BYTE))


def inflate():
    text = b"the same words, the same words, and then others; " * 8
    raw = zlib.compressobj(wbits=-15)
    member = gzip.compress(text, mtime=0)
    bodies = {
        "gzip": (member, [0]), "zlib": (zlib.compress(text), [1]), "raw": (raw.compress(text) + raw.flush(), [1]),
        "two-members": (member + gzip.compress(b"more", mtime=0), [0]), "padded": (member + bytes(16), [0]),
        "trailing": (member + b"x", [0]), "truncated": (member[:-5], [0]),
        "empty": (gzip.compress(b"", mtime=0), [0]),
        "damaged": (member[:20] + b"\xff" + member[21:], [0]), "wrong-checksum": (member[:-8] + bytes(8), [0]),
        "gzip-in-gzip": (gzip.compress(member, mtime=0), [0, 0]),
        "zlib-in-gzip": (gzip.compress(zlib.compress(text), mtime=0), [1, 0]),
        "three-layers": (gzip.compress(zlib.compress(member), mtime=0), [0, 1, 0]),
        "stored": (zlib.compress(text[:40], 0), [1]), "not-coded": (text[:40], [0]),
        "zeros": (gzip.compress(bytes(200_000), mtime=0), [0]),
        "dictionary": (b"\x78\xbb\x00\x00\x00\x01\x00", [1]),
        "extra-fields": (b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x02\x00abname\x00comment\x00\x00\x00\x03\x00"
                         + bytes(8), [0]),
    }
    for name, (body, codings) in bodies.items():
        numbers = [Number(len(codings) - 1), *(Number(coding) for coding in codings)]
        bound = [Number(0), Number(60_000, 0, 65_535)]
        yield name, with_numbers(body, *numbers, *bound, *cuts(1, 11, len(body) // 2))
    yield "zeros-by-ratio", with_numbers(bodies["zeros"][0], Number(0), Number(0), Number(1), Number(4, 1, 16), *cuts())


def lines():
    events = (b"\xef\xbb\xbf: comment\nevent: add\ndata: one\ndata:two\nid: 7\nretry: 100\n\n"
              b"data: x\r\n\r\ndata\r\rid: a\0b\nevent\n")
    for ending in (0, 1):
        for name, body in {
            "events": events, "return": b"a\rb\r\nc\n\rd\r", "empty": b"\n\n\r\n", "mark": b"\xef\xbb\xbf",
            "mark-line": b"\xef\xbb\xbf\n\xef\xbb\xbf", "no-end": b"a\nb", "not-utf8": b"data: \xff\xfe\n\n",
        }.items():
            numbers = [Number(ending), Number(0)]
            yield f"{name}-{ending}", with_numbers(body, *numbers, *cuts(1, 2, 10))
        numbers = [Number(ending), Number(1), Number(3), Number(EVERY_BYTE)]
        yield f"bounded-{ending}", with_numbers(b"abc\r\nabc\r", *numbers)


def location():
    """The values; the URL that redirects (https, http, a socket), the kind of status, the method, the option, the hops."""
    for name, (text, numbers) in {
        "path": ("/v2/orders?page=2", (0, 2, 0, 0, 0)), "relative": ("../x", (1, 0, 2, 0, 0)),
        "other-origin": ("https://other.example/x", (0, 1, 2, 0, 0)), "other-port": ("//example.com:8443/", (0, 2, 3, 0, 0)),
        "same-origin": ("HTTPS://EXAMPLE.COM:443/x", (0, 0, 1, 0, 0)), "dot": ("https://example.com./x", (0, 2, 0, 0, 0)),
        "downgrade": ("http://example.com/x", (0, 2, 0, 0, 0)), "downgrade-allowed": ("http://example.com/", (0, 2, 2, 1, 0)),
        "upgrade": ("https://example.com:8080/", (1, 0, 2, 0, 0)), "socket": ("http+unix://%2Frun%2Fb.sock/x", (0, 2, 0, 1, 0)),
        "own-socket": ("http+unix://%2Frun%2Fapi.sock/x", (2, 2, 0, 0, 0)), "localhost": ("http://localhost/x", (2, 1, 3, 0, 0)),
        "from-socket": ("http://example.com/", (2, 0, 0, 0, 0)), "user": ("https://user:secret@example.com/", (0, 2, 0, 0, 0)),
        "foreign": ("mailto:someone@example.com", (0, 2, 0, 0, 0)), "empty": ("", (0, 2, 0, 0, 0)),
        "twice": ("/a\n/a", (0, 2, 0, 0, 0)), "differing": ("/a\nhttps://other.example/", (0, 2, 0, 0, 0)),
        "last": ("/a", (0, 2, 0, 0, 3)), "backslash": ("https:\\\\other.example\\", (0, 2, 0, 0, 0)),
        "at": ("https://example.com@other.example/", (0, 2, 0, 0, 0)), "fragment": ("#top", (0, 1, 0, 0, 1)),
        "letters": ("/\u00fc?\u20ac", (1, 2, 0, 0, 0)), "replacement": ("/\ufffd", (0, 2, 0, 0, 0)),
    }.items():
        yield name, with_numbers(text.encode(), *map(Number, numbers))
    yield "not-utf8", with_numbers(b"/\xe9\xff?\xfc", *map(Number, (1, 0, 2, 0, 0)))
    yield "long", with_numbers(b"/" + b"a" * 16_400, *map(Number, (0, 2, 0, 0, 0)))


def http2():
    for name, (text, is_trailer) in {
        "head": (":status=200\ncontent-length=12\nx-a= b\t\nset-cookie=", 0), "trailers": ("x-sum=1\nx-other=2", 1),
        "no-status": ("server=x", 0), "two-statuses": (":status=200\n:status=200", 0),
        "late-status": ("server=x\n:status=200", 0), "path": (":status=200\n:path=/", 0),
        "upper": (":status=200\nServer=x", 0), "connection": (":status=200\nconnection=close", 0),
        "two-lengths": (":status=200\ncontent-length=1\ncontent-length=01", 0), "return": (":status=200\nx=a\rb", 0),
        "nul": (":status=200\nx=a\0b", 0),
        "odd-status": (":status=\u0661\u0662\u0663", 0), "trailer-status": (":status=200", 1),
        "te": (":status=200\ntransfer-encoding=chunked", 0), "many": (":status=200\n" + "a=b\n" * 17, 0),
    }.items():
        yield name, with_numbers(text.encode(), Number(is_trailer), Number(16))


def frame(kind, flags=0, stream=0, payload=b""):
    """A frame of RFC 9113 §4.1."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + bytes(payload)


DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GO_AWAY, WINDOW, CONTINUATION = range(10)
END, PADDED = 0x01, 0x08
END_HEADERS = 0x04
# `:status: 200`, and a field that is added to the table.
HEAD = b"\x88\x40\x01x\x03abc"


def frames():
    settings = frame(SETTINGS, payload=b"\0\3\0\0\0\x64\0\4\0\1\0\0")
    section = [frame(HEADERS, 0, 1, HEAD[:3]), frame(CONTINUATION, 0, 1), frame(CONTINUATION, END_HEADERS, 1, HEAD[3:])]
    for name, parts in {
        "settings": [settings, frame(SETTINGS, 1)], "section": section, "data": [frame(DATA, END, 1, b"hello")],
        "padded": [frame(DATA, PADDED, 1, b"\3hello\0\0\0"), frame(DATA, PADDED, 1, b"\0"),
                   frame(HEADERS, PADDED | 0x20 | END_HEADERS, 3, b"\2\0\0\0\0\7" + HEAD + b"\0\0")],
        "padding-too-long": [frame(DATA, PADDED, 1, b"\x09abc")], "empty-data": [frame(DATA, 0, 1)] * 3,
        "ping": [frame(PING, payload=bytes(8)), frame(PING, 1, payload=b"abcdefgh")],
        "go-away": [frame(GO_AWAY, payload=b"\0\0\0\1\0\0\0\0debug")], "reset": [frame(RESET, 0, 1, b"\0\0\0\x08")],
        "windows": [frame(WINDOW, payload=b"\0\0\0\1"), frame(WINDOW, 0, 3, b"\x7f\xff\xff\xff"),
                    frame(WINDOW, 0, 3, bytes(4))],
        "priority": [frame(PRIORITY, 0, 1, b"\0\0\0\3\x10"), frame(PRIORITY, 0, 1, b"\0")],
        "unknown": [frame(0x42, 0xFF, 5, b"abc"), frame(0xFF)], "push": [frame(PUSH, END_HEADERS, 1, b"\0\0\0\2\x88")],
        "interleaved": [frame(HEADERS, 0, 1, HEAD), frame(PING, payload=bytes(8))],
        "stray-continuation": [frame(CONTINUATION, END_HEADERS, 1)], "truncated": [frame(DATA, 0, 1, b"hello")[:12]],
        "reserved-bit": [frame(DATA, END, 0x8000_0001, b"a")], "too-long": [b"\xff\xff\xff\0\0\0\0\0\1abc"],
        "wrong-lengths": [frame(WINDOW, payload=b"\0")],
    }.items():
        yield name, with_numbers(b"".join(parts), Number(0), Number(0), *cuts(3, 9, 14))
    yield "own-settings", with_numbers(settings + section[0], Number(1), Number(0), Number(EVERY_BYTE))
    small = [Number(0), Number(1), Number(4, 0, 255), Number(1, 0, 15)]
    yield "small-limits", with_numbers(b"".join(section), *small, *cuts(10))


def hpack():
    """The examples of RFC 7541, Appendix C, and malformed sections."""
    plain = [bytes.fromhex(text) for text in (
        "828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")]
    huffman = [bytes.fromhex(text) for text in (
        "828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")]
    responses = [bytes.fromhex(text) for text in (
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
        "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007")]
    for name, (sections, size) in {
        "requests": (plain, 4_096), "requests-huffman": (huffman, 4_096), "responses": (responses, 256),
        "never-indexed": ([b"\x10\x08password\x06secret"], 4_096), "not-indexed": ([b"\x04\x0c/sample/path"], 4_096),
        "size-updates": ([b"\x20\x3f\xe1\x1f\x88", b"\x40\x01a\x01b", b"\x20\x88", b"\xbe"], 4_096),
        "size-too-large": ([b"\x3f\xe2\x1f"], 4_096), "late-update": ([b"\x88\x20"], 4_096),
        "index-0": ([b"\x80"], 4_096),
        "index-too-large": ([b"\xbe"], 4_096), "long-integer": ([b"\xff\x80\x80\x80\x80\x80\x01"], 4_096),
        "padding-of-8-bits": ([b"\x00\x01a\x82\x1f\xff"], 4_096),
        "end-of-string": ([b"\0\x01a\x84\xff\xff\xff\xff"], 4_096),
        "truncated": ([b"\x40\x05ab"], 4_096), "no-table": ([b"\x40\x01a\x01b", b"\x88"], 0),
        "evicting": ([b"\x40\x01a\x01b" * 5], 70), "name-of-evicted": ([b"\x40\x01a\x01b\x7e\x20" + b"c" * 32], 66),
        "not-utf8": ([b"\x40\x01a\x02\xff\xfe", b"\xbe"], 4_096), "empty": ([b"\x40\x00\x00", b"\xbe"], 4_096),
        "many": ([b"\x88" * 40], 4_096),
    }.items():
        places, end = [], 0
        for section in sections[:-1]:
            end += len(section)
            places.append(end)
        numbers = [Number(size, 0, 65_535), Number(300, 0, 1_023), Number(8, 0, 15)]
        yield name, with_numbers(b"".join(sections), *numbers, *cuts(*places))


def session():
    """Frames for a client whose stream 1 has ended, whose stream 3 has a body under way, and which has reset stream 5."""
    head = frame(HEADERS, END_HEADERS, 1, HEAD)
    for name, parts in {
        "response": [head, frame(DATA, END, 1, b"hello")], "head-alone": [frame(HEADERS, END_HEADERS | END, 1, HEAD)],
        "trailers": [head, frame(DATA, 0, 1, b"a"), frame(HEADERS, END_HEADERS | END, 1, b"\xbe")],
        "both": [frame(HEADERS, END_HEADERS, 3, HEAD), head, frame(DATA, 0, 1, b"one"), frame(DATA, END, 3, b"two")],
        "late": [frame(HEADERS, END_HEADERS, 5, HEAD), frame(DATA, PADDED, 5, b"\1ab\0"), frame(RESET, 0, 5, bytes(4))],
        "data-behind-end": [frame(HEADERS, END_HEADERS | END, 3, HEAD), frame(DATA, 0, 3, b"too late"), head],
        "idle": [frame(DATA, 0, 7, b"a")], "even": [frame(HEADERS, END_HEADERS, 2, HEAD)],
        "behind-all": [frame(HEADERS, END_HEADERS | END, 1, HEAD), frame(DATA, END, 1, b"a")],
        "resets": [frame(RESET, 0, 1, b"\0\0\0\7"), frame(RESET, 0, 3, b"\0\0\0\x08"), frame(RESET, 0, 3, bytes(4))],
        "go-away": [frame(GO_AWAY, payload=b"\0\0\0\1" + bytes(4)), head, frame(GO_AWAY, payload=bytes(8))],
        "go-away-raised": [frame(GO_AWAY, payload=bytes(8)), frame(GO_AWAY, payload=b"\0\0\0\1" + bytes(4))],
        "windows": [frame(WINDOW, payload=b"\0\1\0\0"), frame(WINDOW, 0, 3, b"\0\1\0\0"),
                    frame(WINDOW, 0, 1, b"\0\0\0\1")],
        "window-overflow": [frame(WINDOW, 0, 3, b"\x7f\xff\xff\xff"), frame(WINDOW, payload=b"\x7f\xff\xff\xff")],
        "window-of-0": [frame(WINDOW, 0, 3, bytes(4)), head],
        "settings": [
            frame(SETTINGS, payload=b"\0\1\0\0\0\0\0\3\0\0\0\0\0\4\0\0\0\0\0\5\0\0\x80\0\0\6\0\0\1\0"), head],
        "wrong-settings": [frame(SETTINGS, payload=b"\0\4\xff\xff\xff\xff")],
        "acknowledged-twice": [frame(SETTINGS, 1), frame(SETTINGS, 1)],
        "pings": [frame(PING, payload=b"abcdefgh"), frame(PING, 1, payload=bytes(7) + b"\7"),
                  frame(PING, 1, payload=bytes(8))],
        "bad-index": [frame(HEADERS, END_HEADERS, 1, b"\x80"), head],
        "push": [frame(PUSH, END_HEADERS, 1, b"\0\0\0\2\x88")],
        "empty-data": [head] + [frame(DATA, 0, 1)] * 101,
        "unknown": [frame(0x42, 7, 1, b"abc"), frame(PRIORITY, 0, 9, bytes(5))],
    }.items():
        yield name, with_numbers(b"".join(parts), Number(name < "m"), Number(0), *cuts(5, 12, 20, 33))
    beyond = head + frame(DATA, 0, 1, b"a" * 60) + frame(DATA, PADDED, 1, b"\4" + b"b" * 10)
    yield "beyond-the-window", with_numbers(beyond, Number(1), Number(1), *cuts(30, 90))


def proxies():
    """Answers of proxies: the kind (HTTP, SOCKS5, SOCKS5 with credentials), whether the proxy closes, the cuts."""
    ok = b"HTTP/1.1 200 Connection established\r\n"
    reply, named = b"\5\0\0\1\xc0\0\2\1\x1f\x90", b"\5\0\0\3\4host\0\x50"
    for name, (content, kind, is_closed) in {
        "accepted": (ok + b"\r\n", 0, 0), "old-version": (b"HTTP/1.0 200 OK\r\nVia: 1.0 x\r\n\r\n", 0, 0),
        "with-length": (ok + b"Content-Length: 5\r\n\r\n", 0, 0), "behind": (ok + b"\r\nhello", 0, 0),
        "informational": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + b"\r\n", 0, 0),
        "authentication": (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", 0, 1),
        "redirect": (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\n\r\n", 0, 0),
        "forbidden": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbody", 0, 0),
        "upgrade": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 0, 0),
        "half": (ok + b"Via: 1.1 pro", 0, 1), "not-http": (b"SSH-2.0-x\r\n", 0, 0), "silent": (b"", 0, 1),
        "socks": (b"\5\0" + reply, 1, 0), "socks-name": (b"\5\0" + named, 1, 0),
        "socks-ipv6": (b"\5\0\5\0\0\4" + b"\xfd" * 16 + b"\0\x50", 1, 0),
        "socks-longest": (b"\5\0\5\0\0\3\xff" + b"a" * 255 + b"\0\x50", 1, 0),
        "socks-behind": (b"\5\0" + reply + b"x", 1, 0), "socks-refused": (b"\5\0\5\5\0\1" + bytes(6), 1, 0),
        "socks-no-method": (b"\5\xff", 1, 1), "socks-half": (b"\5\0" + reply[:7], 1, 1),
        "socks-user": (b"\5\2\1\0" + reply, 2, 0), "socks-user-refused": (b"\5\2\1\1", 2, 1),
        "socks-4": (b"\0\x5a" + bytes(6), 1, 0), "socks-http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, 1),
    }.items():
        yield name, with_numbers(content, Number(kind), Number(is_closed), *cuts(2, 4, 9))


TARGETS = {
    "response": response, "differential": differential, "chunks": chunks, "inflate": inflate, "lines": lines,
    "location": location,
    "http2": http2, "frames": frames, "hpack": hpack, "session": session, "proxies": proxies,
}


def write():
    """Writes all inputs; returns how many files and bytes it wrote. Keeps inputs that were added by hand."""
    files, size = 0, 0
    for target, make in TARGETS.items():
        folder = ROOT / "Fuzz" / "Corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in make():
            (folder / name).write_bytes(content)
            files, size = files + 1, size + len(content)
    return files, size
