"""The fields of requests and responses that Scripts/http2-fields sends, and their comparison with the fields that arrived."""

import random
import string
import urllib.parse

# The characters of field values: digits and a few letters take 5 bits in HPACK's Huffman code, most signs more than 8.
_CODED_SHORT = "012aceiost"
_CODED_LONG = string.ascii_letters + string.digits + "!#$&'()*+<>?@[]^`{|}~"
# Fields that the client or a proxy adds.
_AUTOMATIC = {"host", "user-agent", "accept-encoding", "connection", "content-length"}
# The prefix of the names of a response's own fields.
ANSWER = "x-answer-"


def text(seed, count, is_compressible):
    """A text of `count` characters, the same for the same seed."""
    drawn = random.Random(f"{seed}")
    return "".join(drawn.choices(_CODED_SHORT if is_compressible else _CODED_LONG, k=count))


def request_fields(count):
    """Fields whose names and values are `count` bytes or a little more: small fields that stay in the compression table,
    repeated fields, fields that must not enter the table, and then long fields, each of which empties the table."""
    fields = [("X-First", "first"), ("X-Same", "1"), ("X-Same", "2"), ("Authorization", "Basic YTpi"),
              ("Cookie", "session=" + text("cookie", 90, False))]
    size = 2_000 if count < 20_000 else 4_050
    while byte_count(fields) < count - len("X-Lastlast"):
        number = len(fields)
        fields.append((f"X-Field-{number:03}", text(number, size, is_compressible=number % 2 == 0)))
    return [*fields, ("X-Last", "last")]


def byte_count(fields):
    return sum(len(name) + len(value) for name, value in fields)


def answer_fields(number, count):
    """The fields of the response to request `number`: 24 bytes or more each, so that `count` bytes are several fields."""
    # At most 16 fields, because an encoder may count some additional bytes for each field.
    size = max(16, -(-count // 15) - len(ANSWER) - 2)
    fields = []
    while byte_count(fields) < count:
        name = f"{ANSWER}{len(fields):02}"
        unit = f"{number}-{len(fields)}."
        fields.append((name, (unit * (size // len(unit) + 1))[:size]))
    return fields


def answer_to(target):
    """The fields of the response to a target. For /fields?number=7&answer=61440: the fields of request 7, 61,440 bytes."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    return answer_fields(int(query["number"][0]), int(query["answer"][0]))


def differences(sent, arrived, may_have=()):
    """The problems of the fields that arrived. Ignores the case of names; compares the values of one name in their order."""
    wanted, found = _by_name(sent), _by_name(arrived)
    problems = []
    for name, values in wanted.items():
        if found.get(name) != values:
            problems.append(f"{name}: {_short(found.get(name))} instead of {_short(values)}")
    for name in found:
        if name not in wanted and name not in _AUTOMATIC and name not in may_have:
            problems.append(f"{name}: {_short(found[name])} arrived, though the client did not send it")
    return problems


def _by_name(fields):
    values = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return values


def _short(values):
    if values is None:
        return "nothing"
    return ", ".join(f"{value[:40]!r} ({len(value)} bytes)" for value in values)
