"""Tables and a picture of the measurements."""

import html
import statistics

COLUMNS = [("cpu", "CPU µs/request", "{:.1f}"), ("rate", "requests/s", "{:.0f}"), ("p50", "p50 µs", "{:.0f}"),
           ("p99", "p99 µs", "{:.0f}"), ("p999", "p999 µs", "{:.0f}"), ("allocations", "allocations", "{:.1f}"),
           ("peak", "peak MiB", "{:.1f}")]


def median(rounds, key):
    values = [figures[key] for figures in rounds if key in figures]
    return statistics.median(values) if values else None


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}–{form.format(max(values))})"


def ratios(ours, theirs, key):
    """Our figure ÷ their figure, for each round."""
    return [our[key] / their[key] for our, their in zip(ours, theirs) if our.get(key) and their.get(key)]


class WorkTable:
    """One piece of work: the results of each client's rounds (`taken`), and our results paired with each peer's (`pairs`)."""

    def __init__(self, work, taken, pairs, names, peers):
        self.work, self.taken, self.pairs, self.names, self.peers = work, taken, pairs, names, peers

    def lines(self):
        """Markdown: absolute figures, then ratios to each peer."""
        yield f"### {self.work.name}"
        yield ""
        yield (f"{'POST' if self.work.sent else 'GET'} {self.work.path}, {self.work.protocol}"
               f"{' over TLS' if self.work.tls else ''}, {self.work.in_flight} in flight")
        yield ""
        yield "| client | " + " | ".join(title for _, title, _ in COLUMNS) + " |"
        yield "|---" * (len(COLUMNS) + 1) + "|"
        for key, rounds in self._all():
            cells = []
            for column, _, form in COLUMNS:
                values = [figures[column] for figures in rounds if figures.get(column) is not None]
                cells.append("–" if not values else spread(values, form) if column == "cpu" else form.format(statistics.median(values)))
            yield f"| {self.names[key]} | " + " | ".join(cells) + " |"
        yield ""
        yield "| Bowline ÷ | " + " | ".join(self.names[key] for key in self.peers) + " |"
        yield "|---" * (len(self.peers) + 1) + "|"
        for variant in self.pairs:
            for column, title, _ in COLUMNS:
                cells = []
                for key in self.peers:
                    found = self.ratios(variant, column, key)
                    cells.append(spread(found) if found else "–")
                if any(cell != "–" for cell in cells):
                    yield f"| {title}, {variant} | " + " | ".join(cells) + " |"
        yield ""

    def ratios(self, variant, column, peer):
        return ratios(self.pairs[variant].get(peer, []), self.taken.get(peer, []), column)

    def goals(self):
        """(description, limit, ratios) of each limit of this work."""
        for variant, column, peer, limit in self.work.goals:
            found = self.ratios(variant, column, peer)
            if found:
                yield f"{self.work.name}, {variant} executor, {column} ÷ {peer}", limit, found

    def _all(self):
        return self.taken.items()

    def bars(self):
        """(client, CPU µs per request) for the picture."""
        return [(self.names[key], median(rounds, "cpu")) for key, rounds in self._all()]


def summary(tables):
    """Markdown: CPU per request as ratios to each peer, a line for each piece of work."""
    peers = list(dict.fromkeys(key for table in tables for key in table.peers))
    yield "### In short"
    yield ""
    yield "CPU per request, ours ÷ theirs (median of rounds): with tasks on the event loop / on the default executor. Below 1, ours costs less."
    yield ""
    yield "| work | Bowline, µs | " + " | ".join(f"÷ {key}" for key in peers) + " |"
    yield "|---" * (len(peers) + 2) + "|"
    for table in tables:
        own = " / ".join(f"{median(table.taken[variant], 'cpu'):.1f}" for variant in table.pairs)
        cells = []
        for key in peers:
            found = [table.ratios(variant, "cpu", key) for variant in table.pairs]
            cells.append(" / ".join(f"{statistics.median(each):.2f}" for each in found) if all(found) else "–")
        yield f"| {table.work.name} | {own} | " + " | ".join(cells) + " |"
    yield ""


def picture(tables):
    """An SVG: for each piece of work a bar per client, CPU per request."""
    row, left, width = 16, 230, 420
    shapes, y = [], 40
    for table in tables:
        bars = [(name, value) for name, value in table.bars() if value]
        if not bars:
            continue
        top = max(value for _, value in bars)
        shapes.append(f'<text x="8" y="{y + 12}" class="work">{html.escape(table.work.name)}</text>')
        y += row + 4
        for name, value in bars:
            kind = "ours" if name.startswith("Bowline") else "peer"
            length = max(1, value / top * width)
            shapes.append(f'<text x="{left - 8}" y="{y + 11}" class="name">{html.escape(name)}</text>'
                          f'<rect x="{left}" y="{y + 1}" width="{length:.1f}" height="{row - 4}" class="{kind}"/>'
                          f'<text x="{left + length + 6:.1f}" y="{y + 11}">{value:.1f}</text>')
            y += row
        y += row
    style = ("text{font:11px sans-serif;fill:#24292f}.work{font-weight:bold;font-size:13px}.name{text-anchor:end}"
             ".title{font-weight:bold;font-size:14px}.ours{fill:#1f6feb}.peer{fill:#afb8c1}"
             "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.peer{fill:#57606a}}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {y}" width="{left + width + 70}" '
            f'height="{y}" role="img"><title>CPU per request</title><style>{style}</style>'
            f'<text x="8" y="20" class="title">µs of CPU per request: less is better</text>{"".join(shapes)}</svg>\n')
