"""Writes frames with PyPI's hyperframe, and checks the frames that the Swift side has written.

One line of text describes a frame; both sides write it: `PING 7`, `HEADERS 3 AAEC ends=true` …
"""

import random

from hyperframe import frame as wire

from harness.wire.files import decoded, encoded, read_lines, write_lines

CONNECTIONS = 200
FRAMES = 30
LONGEST = 16_384
PIECES = [1, 7, 50, 100, 1_000, 5_000, 20_000, 100_000]
# The flags that have a meaning, by type; a receiver ignores all others (RFC 9113 §4.1).
MEANING = {0: 0x09, 1: 0x2D, 2: 0, 3: 0, 4: 0x01, 5: 0x0C, 6: 0x01, 7: 0, 8: 0, 9: 0x04}


def _truth(value):
    return "true" if value else "false"


class Drawing:
    def __init__(self, draw):
        self.draw = draw

    def stream(self):
        return self.draw.choice([1, 3, 5, 2, 101, 0x7FFF_FFFF])

    def content(self, most):
        kind = self.draw.randrange(10)
        count = 0 if kind == 0 else most if kind == 1 else self.draw.randint(0, min(most, 300))
        return self.draw.randbytes(count)

    def padding(self):
        return self.draw.randint(0, 255) if self.draw.random() < 0.4 else None

    def frames(self):
        """Frames that belong together, and the line that describes them."""
        kinds = [self.data, self.headers, self.priority, self.reset, self.settings, self.push, self.ping, self.go_away,
                 self.window, self.unknown]
        return self.draw.choice(kinds)()

    def data(self):
        stream, padding, ends = self.stream(), self.padding(), self.draw.random() < 0.3
        extra = 0 if padding is None else padding + 1
        content = self.content(LONGEST - extra)
        flags = [name for name, is_there in [("END_STREAM", ends), ("PADDED", padding is not None)] if is_there]
        frame = wire.DataFrame(stream, content, flags=flags, pad_length=padding or 0)
        return [frame], f"DATA {stream} {encoded(content)} window={len(content) + extra} ends={_truth(ends)}"

    def headers(self):
        stream, padding, ends = self.stream(), self.padding(), self.draw.random() < 0.3
        has_priority = self.draw.random() < 0.3
        block = self.draw.randbytes(self.draw.choice([0, 1, 50, 2_000, 40_000]))
        room = LONGEST - 300
        cuts = sorted({*range(room, len(block), room), *(self.draw.randint(0, len(block)) for _ in range(2))})
        pieces = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)])]
        flags = [name for name, is_there in [("END_STREAM", ends), ("PADDED", padding is not None),
                                             ("PRIORITY", has_priority)] if is_there]
        first = wire.HeadersFrame(stream, pieces[0], flags=flags, pad_length=padding or 0, depends_on=7,
                                  stream_weight=3, exclusive=True)
        rest = [wire.ContinuationFrame(stream, piece) for piece in pieces[1:]]
        [first, *rest][-1].flags.add("END_HEADERS")
        return [first, *rest], f"HEADERS {stream} {encoded(block)} ends={_truth(ends)}"

    def priority(self):
        stream = self.stream()
        return [wire.PriorityFrame(stream, depends_on=9, stream_weight=200)], f"PRIORITY {stream}"

    def reset(self):
        stream, code = self.stream(), self.draw.choice([0, 7, 8, 13, 14, 0xFFFF_FFFF])
        return [wire.RstStreamFrame(stream, code)], f"RST_STREAM {stream} {code}"

    def settings(self):
        if self.draw.random() < 0.2:
            return [wire.SettingsFrame(0, flags=["ACK"])], "SETTINGS acknowledged"
        values = {1: self.draw.randint(0, 65_536), 2: 0, 3: self.draw.randint(0, 1_000),
                  4: self.draw.randint(0, 0x7FFF_FFFF), 5: self.draw.randint(16_384, 0xFF_FFFF),
                  6: self.draw.randint(0, 0xFFFF_FFFF), 0xAB: self.draw.randint(0, 0xFFFF_FFFF)}
        chosen = {key: values[key] for key in self.draw.sample(sorted(values), self.draw.randint(0, len(values)))}
        return [wire.SettingsFrame(0, chosen)], _settings_line(chosen.items())

    def push(self):
        stream, padding = self.stream(), self.padding()
        flags = ["END_HEADERS"] + ([] if padding is None else ["PADDED"])
        frame = wire.PushPromiseFrame(stream, 4, self.draw.randbytes(20), flags=flags, pad_length=padding or 0)
        return [frame], f"PUSH_PROMISE {stream}"

    def ping(self):
        value, is_answer = self.draw.getrandbits(64), self.draw.random() < 0.5
        frame = wire.PingFrame(0, value.to_bytes(8, "big"), flags=["ACK"] if is_answer else [])
        return [frame], f"{'PONG' if is_answer else 'PING'} {value}"

    def go_away(self):
        last, code = self.draw.choice([0, 1, 99, 0x7FFF_FFFF]), self.draw.choice([0, 2, 11, 77])
        return [wire.GoAwayFrame(0, last, code, self.content(1_000))], f"GOAWAY {last} {code}"

    def window(self):
        stream, increment = self.draw.choice([0, self.stream()]), self.draw.choice([1, 1_000, 0x7FFF_FFFF])
        return [wire.WindowUpdateFrame(stream, increment)], f"WINDOW_UPDATE {stream} {increment}"

    def unknown(self):
        stream, kind = self.draw.choice([0, self.stream()]), self.draw.choice([0x0A, 0x0C, 0x10, 0x42, 0xFF])
        content = self.content(LONGEST)
        frame = wire.ExtensionFrame(kind, stream, self.draw.randrange(256), content)
        frame.body_len = len(content)
        return [frame], f"UNKNOWN {kind} {stream} {len(content)}"


def _settings_line(entries):
    return "SETTINGS " + ",".join(f"{key}={value}" for key, value in entries)


def _noisy(content, kind, draw):
    """Sets bits that have no meaning: the reserved bit of the stream number, and flags."""
    content = bytearray(content)
    if draw.random() < 0.3:
        content[5] |= 0x80
    if draw.random() < 0.3 and kind in MEANING:
        content[4] |= draw.randrange(256) & ~MEANING[kind]
    return bytes(content)


def write(folder, seed):
    """Writes frames for the Swift side; returns how many there are."""
    draw = random.Random(seed)
    drawing = Drawing(draw)
    lines, total = [], 0
    for _ in range(CONNECTIONS):
        content = wire.SettingsFrame(0, {}).serialize()
        expected, total = [_settings_line([])], total + 1
        for _ in range(FRAMES):
            frames, line = drawing.frames()
            content += b"".join(_noisy(frame.serialize(), frame.type, draw) for frame in frames)
            expected.append(line)
            total += len(frames)
        lines.append({"bytes": encoded(content), "frames": expected, "longestPiece": draw.choice(PIECES)})
    write_lines(folder / "frames-in.jsonl", lines)
    return total


class Reader:
    """Reads frames with hyperframe, and describes frames that belong together in one line."""

    def __init__(self, content, largest):
        self.content = memoryview(content)
        self.largest = largest
        self.frames = 0
        self.lines = []

    def next(self):
        if not self.content:
            return None
        frame, length = wire.Frame.parse_frame_header(self.content[:9], strict=True)
        if len(self.content) < 9 + length:
            raise ValueError("the last frame is cut")
        if length > self.largest:
            raise ValueError(f"a frame of {length} bytes, the largest has {self.largest}")
        frame.parse_body(self.content[9:9 + length])
        self.content = self.content[9 + length:]
        self.frames += 1
        return frame

    def read(self):
        """The lines of all frames. Consecutive DATA frames of one stream are one line."""
        while (frame := self.next()) is not None:
            self.lines.append(self._line(frame))
        return self.lines

    def _line(self, frame):
        stream = frame.stream_id
        match frame:
            case wire.DataFrame():
                ends = "END_STREAM" in frame.flags
                before = self.lines[-1].split(" ") if self.lines else [""]
                if before[:2] == ["DATA", str(stream)] and before[3] == "ends=false":
                    self.lines.pop()
                    content = decoded(before[2]) + frame.data
                else:
                    content = frame.data
                return f"DATA {stream} {encoded(content)} ends={_truth(ends)}"
            case wire.HeadersFrame():
                block, last = frame.data, frame
                while "END_HEADERS" not in last.flags:
                    last = self.next()
                    if not isinstance(last, wire.ContinuationFrame) or last.stream_id != stream:
                        raise ValueError(f"{last!r:.80} within a section")
                    block += last.data
                return f"HEADERS {stream} {encoded(block)} ends={_truth('END_STREAM' in frame.flags)}"
            case wire.RstStreamFrame(): return f"RST_STREAM {stream} {frame.error_code}"
            case wire.SettingsFrame():
                return "SETTINGS acknowledged" if "ACK" in frame.flags else _settings_line(frame.settings.items())
            case wire.PingFrame():
                kind = "PONG" if "ACK" in frame.flags else "PING"
                return f"{kind} {int.from_bytes(frame.opaque_data, 'big')}"
            case wire.GoAwayFrame(): return f"GOAWAY {frame.last_stream_id} {frame.error_code}"
            case wire.WindowUpdateFrame(): return f"WINDOW_UPDATE {stream} {frame.window_increment}"
        raise ValueError(f"a client has no {type(frame).__name__}")


def check(folder):
    """Reads the frames that the Swift side has written; returns (problems, figures)."""
    problems, frames, connections = [], 0, 0
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for number, line in enumerate(read_lines(folder / "frames-out.jsonl")):
        content = decoded(line["bytes"])
        if not content.startswith(preface):
            problems.append(f"connection {number} does not begin with the preface")
            continue
        reader = Reader(content[len(preface):], line["largest"])
        try:
            seen = reader.read()
        except Exception as error:
            problems.append(f"connection {number}: hyperframe refuses it: {type(error).__name__}: {error}")
            continue
        frames, connections = frames + reader.frames, connections + 1
        if seen != line["frames"]:
            wrong = next((pair for pair in zip(seen, line["frames"]) if pair[0] != pair[1]), ("", ""))
            problems.append(f"connection {number}: {len(seen)} lines, must be {len(line['frames'])}; "
                            f"{wrong[0]:.120} must be {wrong[1]:.120}")
    if connections < CONNECTIONS and not problems:
        problems.append(f"only {connections} connections were written")
    return problems[:10], f"{frames} frames of {connections} connections"
