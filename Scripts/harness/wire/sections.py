"""Encodes HPACK sections with PyPI's hpack, and checks the sections that the Swift side has encoded."""

import random

import hpack

from harness.wire.fields import Drawing, table_size
from harness.wire.files import decoded, encoded, read_lines, write_lines

CONNECTIONS = 60
SECTIONS = 60


def _size_changes(draw, current):
    """Mostly no change, else one size, or a lower and then a higher size: the changes that RFC 7541 §4.2 allows."""
    if draw.random() > 0.16:
        return []
    if draw.random() < 0.5:
        return [table_size(draw)]
    low, high = sorted((table_size(draw), table_size(draw)))
    return [low, high] if low < high and low < current else [high]


def write(folder, seed):
    """Writes the sections for the Swift side; returns how many there are."""
    draw = random.Random(seed)
    lines = []
    for connection in range(CONNECTIONS):
        drawing = Drawing(draw)
        encoder = hpack.Encoder()
        huffman = draw.random() < 0.7
        for _ in range(SECTIONS):
            sizes = _size_changes(draw, encoder.header_table_size)
            for size in sizes:
                encoder.header_table_size = size
            fields = drawing.section()
            block = encoder.encode([(name, value, secret) for name, value, secret in fields], huffman=huffman)
            lines.append({
                "connection": connection, "sizes": sizes, "block": encoded(block),
                "fields": [[encoded(name), encoded(value)] for name, value, _ in fields],
                "tableBytes": encoder.header_table._current_size,
            })
    write_lines(folder / "sections-in.jsonl", lines)
    return len(lines)


def check(folder):
    """Decodes the sections that the Swift side has encoded; returns (problems, figures)."""
    problems, count, fields_seen, compressed, plain = [], 0, 0, 0, 0
    decoder, connection = None, None
    for number, line in enumerate(read_lines(folder / "sections-out.jsonl")):
        if line["connection"] != connection:
            connection = line["connection"]
            decoder = hpack.Decoder(max_header_list_size=1 << 24)
        for size in line["sizes"]:
            decoder.max_allowed_table_size = size
        block = decoded(line["block"])
        fields = [(decoded(name), decoded(value)) for name, value in line["fields"]]
        try:
            headers = list(decoder.decode(block, raw=True))
        except hpack.HPACKError as error:
            problems.append(f"section {number}: hpack refuses it: {type(error).__name__}: {error}")
            break
        got = [(bytes(name), bytes(value)) for name, value in headers]
        if got != fields:
            problems.append(f"section {number}: fields {got!r:.300}, must be {fields!r:.300}")
            break
        for header, is_secret in zip(headers, line["secrets"]):
            if is_secret and header.indexable:
                problems.append(f"section {number}: {header[0]!r:.60} may be put into a table on the way")
        if decoder.header_table._current_size != line["tableBytes"]:
            problems.append(f"section {number}: the table has {decoder.header_table._current_size} bytes here, "
                            f"{line['tableBytes']} there")
            break
        count, fields_seen = count + 1, fields_seen + len(fields)
        compressed += len(block)
        plain += sum(len(name) + len(value) for name, value in fields)
    if count < CONNECTIONS * SECTIONS and not problems:
        problems.append(f"only {count} sections were written")
    return problems[:10], f"{count} sections, {fields_seen} fields, {plain} bytes in {compressed}"
