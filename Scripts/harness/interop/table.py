"""The table of behaviours × servers: its cells, as text and as Docs/Interop.md."""

import traceback

from harness.interop.behaviours import Lacking


class Cell:
    """The result of one behaviour with one server: for each protocol "ok", a reason why not, or words about the failure."""

    def __init__(self, server, behaviour):
        self.server = server
        self.behaviour = behaviour
        self.passed = []
        self.lacking = {}
        self.failed = {}
        self.details = []

    def run(self):
        key = self.behaviour.key
        protocols = self.behaviour.protocols(self.server)
        if not protocols:
            self.lacking[""] = "no HTTP/2"
        for protocol in protocols:
            reason = self.server.lacks.get(key) or self.server.lacks.get(f"{key}/{protocol}")
            if reason:
                self.lacking[protocol] = reason
            else:
                self._run(protocol)
        return self

    def _run(self, protocol):
        try:
            problems, figures = self.behaviour.check(self.server, protocol)
        except Lacking as reason:
            print(f"n/a     {self._place(protocol)}: {reason}", flush=True)
            self.lacking[protocol] = str(reason)
            return
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            problems, figures = [("broken", f"{type(error).__name__}: {error} (line {last.lineno} of {last.name})")], ""
        self.note(protocol, problems, figures)

    def note(self, protocol, problems, figures=""):
        verdict = "FAILED" if problems else "ok"
        print(f"{verdict:<6}  {self._place(protocol)}" + (f": {figures}" if figures else ""), flush=True)
        if not problems:
            self.passed.append(protocol)
            return
        self.failed[protocol] = problems[0][0]
        for word, sentence in problems:
            self.details.append(f"{self._place(protocol)}: {word}: {sentence}")
            print(f"        {word}: {sentence}", flush=True)

    def _place(self, protocol):
        return f"{self.server.name}, {self.behaviour.words}, HTTP/{protocol}"

    def __str__(self):
        """Leaves the protocols out if all have the same verdict."""
        parts = []
        if self.failed:
            parts.append("FAILED: " + ", ".join(f"{word} ({protocol})" for protocol, word in self.failed.items()))
        if self.passed:
            parts.append("ok" if not self.failed and not self.lacking else "ok (" + ", ".join(self.passed) + ")")
        if self.lacking:
            reasons = set(self.lacking.values())
            alone = not parts and len(reasons) == 1
            parts += [f"n/a: {reasons.pop()}"] if alone else [
                f"n/a ({protocol}): {reason}" for protocol, reason in self.lacking.items()]
        return "; ".join(parts)


class Table:
    def __init__(self, behaviours):
        self.behaviours = behaviours
        self.columns = []

    def add(self, server, cells):
        self.columns.append((server, cells))

    def failed(self):
        return [cell for _, cells in self.columns for cell in cells if cell.failed]

    def counts(self):
        cells = [cell for _, cells in self.columns for cell in cells]
        lacking = sum(1 for cell in cells if not cell.failed and not cell.passed)
        return len(cells) - lacking - len(self.failed()), lacking, len(self.failed())

    def rows(self):
        """Lists of words, the header first."""
        yield ["", *(server.name for server, _ in self.columns)]
        for index, behaviour in enumerate(self.behaviours):
            yield [behaviour.words, *(str(cells[index]) for _, cells in self.columns)]

    def text(self):
        rows = list(self.rows())
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
        return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows)

    def markdown(self):
        heading, *rows = self.rows()
        lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
