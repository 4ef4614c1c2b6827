"""The pictures of Docs/Architecture.md. Each is drawn from one source, so that it cannot differ from it."""

import html
import re

FOLDER = "Docs/Pictures"
MACHINE = "Sources/BowlineCall/Executor/CallStateMachine.swift"

# The path of a request: its parts in order, in groups. A part: its name, what it does, and the part beside it that it uses.
PATH = [
    ("once per call", [
        ("ServiceClient.send", "resolves the URL, computes limits and deadline", None),
        ("ClientLifecycle.admit", "counts the call, or refuses it", None),
        ("middleware.perCall", "the user's middleware around a call", None),
        ("CallExecutor", "sends, waits, asks the machine what follows",
         ("CallStateMachine", "decides: attempt, wait, hop, end")),
    ]),
    ("once per attempt", [
        ("AttemptSender", "telemetry: span, measurement, log line", None),
        ("middleware.perAttempt", "the user's middleware around an attempt", None),
        ("credentials", "sign the request as it is sent", None),
    ]),
    ("the transport", [
        ("PooledTransport.send", "makes a CheckedRequest; decides about a resend", None),
        ("RoutePools, ConnectionPool.lease", "a free connection, or a place in the queue",
         ("RouteDialer", "dials a new connection")),
        ("Exchange", "the caller's side of one request", None),
        ("HTTPConnection", "the event loop's side", None),
        ("HTTP1/Wire, HTTP2/Wire", "encodes the request, reads the response", None),
    ]),
    ("the network", [("service", "answers", None)]),
]

FONT = "Helvetica, Arial, sans-serif"
INK, SOFT, LINE, BACK = "#1b2733", "#4a5a6a", "#2f5d8a", "#a3470a"


class PictureError(Exception):
    """A source that cannot be drawn: the line of the source, and the problem."""


def write(root):
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        for name, text in _drawn(root):
            (root / FOLDER / name).write_text(text, encoding="utf-8")
    except PictureError:
        pass  # `problems` names it


def problems(root):
    """The pictures that differ from their sources, and sources that cannot be drawn: path, line, problem."""
    found = []
    try:
        for name, text in _drawn(root):
            path = root / FOLDER / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                found.append((f"{FOLDER}/{name}", 0, "the picture differs from its source"))
    except PictureError as error:
        found.append((MACHINE if error.args[0] else FOLDER, *error.args))
    return found


def _drawn(root):
    yield "path.svg", path_picture()
    if (root / MACHINE).is_file():
        yield "call.svg", call_picture((root / MACHINE).read_text(encoding="utf-8"))


# MARK: Shapes

def _svg(width, height, title, description, shapes):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'font-family="{FONT}">\n<title>{html.escape(title)}</title>\n<desc>{html.escape(description)}</desc>\n')
    back = f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n'
    return head + back + "\n".join(shapes) + "\n</svg>\n"


def _text(x, y, text, size=12, color=INK, anchor="middle", weight="normal", room=None):
    if room is not None and len(text) * size * (0.62 if weight == "bold" else 0.56) > room:
        raise PictureError(0, f"`{text}` is too long for its place in the picture")
    return (f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{html.escape(text)}</text>")


def _box(x, y, width, height, fill="#eaf2fb", stroke=LINE, line=1.5):
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{stroke}" stroke-width="{line}"/>'


def _line(points, color=LINE):
    places = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _arrow(points, color=LINE):
    """A line with a head at its end. Its last segment is horizontal or vertical."""
    (a, b), (x, y) = points[-2:]
    dx, dy = (x > a) - (x < a), (y > b) - (y < b)
    root = (x - 8 * dx, y - 8 * dy)
    sides = [(root[0] - 4 * dy * sign, root[1] + 4 * dx * sign) for sign in (1, -1)]
    head = " ".join(f"{p},{q}" for p, q in [(x, y), *sides])
    return _line([*points[:-1], root], color) + f'\n<polygon points="{head}" fill="{color}"/>'


# MARK: The path of a request

def path_picture():
    left, wide, tall, pitch, gap = 166, 320, 44, 66, 16
    beside, side = left + wide + 70, 220
    width, y, shapes, bands, middles = beside + side + 20, 16, [], [], []
    for number, (group, parts) in enumerate(PATH):
        height = len(parts) * pitch - (pitch - tall) + 20
        bands.append(_box(12, y, width - 24, height, ["#f5f7f9", "#fdf8ee", "#f1f8f2", "#f6f3fa"][number % 4], "#c6ced6", 1))
        bands.append(_text(24, y + 25, group, 13, SOFT, "start", "bold", left - 30))
        for row, (name, note, other) in enumerate(parts):
            top = y + 10 + row * pitch
            middles.append(top)
            shapes += [_box(left, top, wide, tall), _text(left + wide // 2, top + 19, name, 13, weight="bold", room=wide),
                       _text(left + wide // 2, top + 35, note, 12, SOFT, room=wide)]
            if other:
                shapes += [_box(beside, top, side, tall), _text(beside + side // 2, top + 19, other[0], 13, weight="bold", room=side),
                           _text(beside + side // 2, top + 35, other[1], 12, SOFT, room=side),
                           _arrow([(left + wide, top + 15), (beside, top + 15)]),
                           _arrow([(beside, top + 30), (left + wide, top + 30)], BACK)]
        y += height + gap
    down, up = left + wide // 2 - 30, left + wide // 2 + 30
    for upper, lower in zip(middles, middles[1:]):
        shapes += [_arrow([(down, upper + tall), (down, lower)]), _arrow([(up, lower), (up, upper + tall)], BACK)]
    shapes += [_text(left, y + 6, "blue: the request, a question", 12, LINE, "start"),
               _text(left + wide, y + 6, "brown: the response, the answer", 12, BACK, "start")]
    parts = [name for _, group in PATH for name, _, _ in group]
    return _svg(width, y + 18, "The path of a request", f"From the caller to the service and back: {', '.join(parts)}.", bands + shapes)


# MARK: The states of a call

_ROW = re.compile(r"/// \| (\w+) \| (\w+) \| ([\w, ]+) \| ([\w ]+) \|$")


def transitions(text):
    """The table of the machine's documentation: state, input, step, next state. "as above" repeats the state that the step led
    to before."""
    found, leads, is_table = [], {}, False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("/// | state |"):
            is_table = True
        elif is_table and not line.startswith("/// |"):
            break
        elif is_table and not line.startswith("/// |---"):
            match = _ROW.match(line)
            if not match:
                raise PictureError(number, "the table's row cannot be read")
            state, given, steps, target = match.groups()
            for step in steps.split(", "):
                if target != "as above" and leads.setdefault(step, target) != target or step not in leads:
                    raise PictureError(number, f"{step} does not lead to one state")
                found.append((state, given, step, leads[step]))
    if not found:
        raise PictureError(1, "the documentation has no table of states")
    return found


def call_picture(text):
    """States on a diagonal. A line leaves a state horizontally and enters the next one vertically; a dot marks joined lines."""
    table = transitions(text)
    states = list(dict.fromkeys([row[0] for row in table] + [row[3] for row in table]))
    wide, tall, pitch, drop = 116, 56, 104, 80
    place = {state: (70 + pitch * n, 46 + drop * n) for n, state in enumerate(states)}
    lines, dots, boxes = [], [], []
    for state in states:
        x, y = place[state]
        for color, sign in ((LINE, 1), (BACK, -1)):
            onward = [place[row[3]][0] for row in table if row[0] == state and (place[row[3]][0] - x) * sign > 0]
            into = [place[row[0]][1] for row in table if row[3] == state and (y - place[row[0]][1]) * sign > 0]
            if onward:
                lines.append(_line([(x + sign * wide // 2, y), (max(onward, key=lambda a: a * sign), y)], color))
            if into:
                lines.append(_arrow([(x, min(into, key=lambda b: b * sign)), (x, y - sign * tall // 2)], color))
            dots += [f'<circle cx="{a}" cy="{y}" r="4" fill="{color}"/>' for a in sorted(set(onward))]
        if any(row[0] == row[3] == state for row in table):
            loop = [(x - 34, y - tall // 2), (x - 34, y - 40), (x - 72, y - 40), (x - 72, y - 16), (x - wide // 2, y - 16)]
            lines.append(_arrow(loop, BACK))
        if len({row[2] for row in table if row[3] == state}) > 1:
            for source in dict.fromkeys(row[0] for row in table if row[3] == state):
                steps = [row[2] for row in table if (row[0], row[3]) == (source, state)]
                label = ", ".join(dict.fromkeys(steps))
                dots.append(_text(x + 8, place[source][1] - 6, label, 11, SOFT, "start", room=pitch - 8))
        boxes += _state(state, table, states, x, y, wide, tall)
    width, height = place[states[-1]][0] + pitch, place[states[-1]][1] + tall // 2 + 20
    legend = ["In a box: the step that leads to the state; the state; the input that ends it (of two, the first goes left).",
              "Inputs with a slash: the table in CallStateMachine.swift says which lines are whose.",
              "Blue lines go right and down to a later state, brown ones left and up. Lines are joined at dots only."]
    boxes += [_text(20, height - 58 + 18 * n, line, 12, SOFT, "start", room=place[states[-1]][0] - wide // 2 - 20)
              for n, line in enumerate(legend)]
    told = "; ".join(f"{state}, {given}: {step}, then {target}" for state, given, step, target in table)
    return _svg(width, height, "A call's life: the states and steps of CallStateMachine", told, lines + dots + boxes)


def _state(state, table, states, x, y, wide, tall):
    steps = dict.fromkeys(row[2] for row in table if row[3] == state)
    inputs = dict.fromkeys(row[1] for row in table if row[0] == state)
    is_end = not steps or not inputs
    shapes = [_box(x - wide // 2, y - tall // 2, wide, tall, "#eceff2" if is_end else "#eaf2fb", SOFT if is_end else LINE),
              _text(x, y + 4, state, 13, weight="bold", room=wide)]
    if steps:
        shapes.append(_text(x, y - 14, ", ".join(steps), 11, SOFT, room=wide))
    # The lines of a single input may go both ways. With two inputs, the lines of one usually go back and those of the other go
    # on. Otherwise a slash says that the lines do not show which input is whose.
    onward = {row[1]: [] for row in table if row[0] == state}
    for row in table:
        if row[0] == state and row[3] != state:
            onward[row[1]].append(states.index(row[3]) > states.index(state))
    if len(inputs) > 1 and sorted(map(set, onward.values()), key=str) != [{False}, {True}]:
        shapes.append(_text(x, y + 21, " / ".join(inputs), 10, SOFT, room=wide))
    elif len(inputs) > 1:
        back, on = sorted(inputs, key=lambda name: onward[name][0])
        shapes += [_text(x, y + 21, f"{back}, {on}", 10, SOFT, room=wide)]
    elif inputs:
        shapes.append(_text(x, y + 21, ", ".join(inputs), 11, SOFT, room=wide))
    return shapes
