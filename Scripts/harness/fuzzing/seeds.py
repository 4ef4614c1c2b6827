"""Writes those inputs in `Fuzz/Corpus` that end in numbers, out of `Tests/Corpus` and the tables below.

An input is what a peer sends, followed by numbers that the target takes off its end
(`Fuzz/FuzzTargets/FuzzInput.swift`).
Targets without numbers have inputs of text, which are edited by hand.
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
    """A number of a range, as `takeNumber(in:)` reads it."""

    def __init__(self, value, lowest=0, highest=255):
        self.value = value - lowest
        self.is_wide = highest - lowest + 1 > 256

    def taken(self):
        """Its bytes in the order in which they are taken off the end."""
        return [self.value >> 8, self.value & 255] if self.is_wide else [self.value]


def with_numbers(content, *numbers):
    taken = [byte for number in numbers for byte in number.taken()]
    return bytes(content) + bytes(reversed(taken))


def cuts(*places):
    return [Number(len(places)), *(Number(place, 0, 65_535) for place in places)]


def corpus_cases(limit, keep=lambda case: True):
    """Cases of `Tests/Corpus`, at most `limit` of a group, the long ones left out."""
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


TARGETS = {
    "response": response, "differential": differential, "chunks": chunks, "inflate": inflate, "lines": lines,
    "http2": http2,
}


def write():
    """Writes all of them; returns how many files and bytes that were. Inputs that were added by hand stay."""
    files, size = 0, 0
    for target, make in TARGETS.items():
        folder = ROOT / "Fuzz" / "Corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in make():
            (folder / name).write_bytes(content)
            files, size = files + 1, size + len(content)
    return files, size
