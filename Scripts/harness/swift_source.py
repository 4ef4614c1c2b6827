"""Splits Swift source into code and comments, so that a rule for one does not match the other."""

import re


def code_only(text):
    """The source with comments and the text of string literals blanked; newlines and columns are kept."""
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text):
        self.text = text
        self.out = list(text)
        self.at = 0

    def run(self):
        self.code(until_parenthesis=False)
        return "".join(self.out)

    def blank(self, start, end):
        for index in range(start, min(end, len(self.out))):
            if self.out[index] != "\n":
                self.out[index] = " "

    def code(self, until_parenthesis):
        """Reads code; with `until_parenthesis`, up to the `)` that closes a string's interpolation."""
        depth = 0
        while self.at < len(self.text):
            if self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                self.blank(self.at, end)
                self.at = end
            elif self.text.startswith("/*", self.at):
                self.block_comment()
            elif match := re.compile(r'(#*)("""|")').match(self.text, self.at):
                self.string(len(match.group(1)), match.group(2))
            else:
                character = self.text[self.at]
                self.at += 1
                if not until_parenthesis:
                    continue
                if character == "(":
                    depth += 1
                elif character == ")":
                    if depth == 0:
                        return
                    depth -= 1

    def block_comment(self):
        start, depth = self.at, 0
        while self.at < len(self.text):
            if self.text.startswith("/*", self.at):
                depth += 1
                self.at += 2
            elif self.text.startswith("*/", self.at):
                depth -= 1
                self.at += 2
                if depth == 0:
                    break
            else:
                self.at += 1
        self.blank(start, self.at)

    def string(self, pounds, quote):
        self.at += pounds + len(quote)
        close = quote + "#" * pounds
        escape = "\\" + "#" * pounds
        start = self.at
        while self.at < len(self.text):
            if self.text.startswith(close, self.at):
                self.blank(start, self.at)
                self.at += len(close)
                return
            if self.text.startswith(escape + "(", self.at):
                self.blank(start, self.at)
                self.at += len(escape) + 1
                self.code(until_parenthesis=True)
                start = self.at
            elif self.text.startswith(escape, self.at):
                self.at += len(escape) + 1
            elif quote == '"' and self.text[self.at] == "\n":
                self.blank(start, self.at)
                return
            else:
                self.at += 1
        self.blank(start, self.at)


_IMPORT = re.compile(
    r"(?<![\w.`#])import\s+(?:(?:typealias|struct|class|enum|protocol|let|var|func|macro|actor)\s+)?`?(\w+)"
)
_DIRECTIVE = re.compile(r"^\s*#(if|elseif|else|endif)\b(.*)$")


class Import:
    """One import: its line, its module, and the compilation conditions around it."""

    def __init__(self, line, module, taken, rejected):
        self.line = line
        self.module = module
        self.taken = taken
        self.rejected = rejected

    def is_guarded(self, module):
        """Whether the import is compiled only where `module` can be imported."""
        return any(re.search(rf"(?<!!)\bcanImport\(\s*{module}\s*\)", condition) for condition in self.taken)

    def is_fallback_for(self, module):
        """Whether the import is compiled only where `module` cannot be imported."""
        return any(re.search(rf"\bcanImport\(\s*{module}\s*\)", condition) for condition in self.rejected)


def imports(text):
    """All imports of a Swift file, whatever their access level, attributes, kind or place on the line."""
    code = code_only(text)
    conditions = {}
    stack = []
    for number, line in enumerate(code.split("\n"), start=1):
        if match := _DIRECTIVE.match(line):
            word, condition = match.group(1), match.group(2).strip()
            if word == "if":
                stack.append(([], condition))
            elif stack and word == "endif":
                stack.pop()
            elif stack:
                earlier, current = stack.pop()
                stack.append((earlier + [current], condition if word == "elseif" else ""))
        conditions[number] = ([c for _, c in stack if c], [c for earlier, _ in stack for c in earlier])
    found = []
    for match in _IMPORT.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        taken, rejected = conditions[line]
        found.append(Import(line, match.group(1), taken, rejected))
    return found
