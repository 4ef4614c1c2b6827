"""The behaviours that Tests/BEHAVIOURS.md lists, the tests whose tags name them, and the files that declare the tags."""

import re

from harness.swift_source import code_only

PAGE = "Tests/BEHAVIOURS.md"
TAG_FILE = "BehaviourTags.swift"
# The scripts whose scenarios also use these ids as names, and the folders of the scenarios.
SCENARIOS = {"Scripts/http2-checks": "Scripts/harness/http2"}
WRITE = "run `Scripts/behaviours --write`"

_ID = r"(?:(?:KA|PO|RT|HG|GA|RA|CO|BR|BA|TO|CA|DC|RD|PX|TL|LC|VT|BI|I)\d+|H[12][a-z])"
_CITED = re.compile(rf"\b{_ID}\b")
_ROW = re.compile(rf"^\| ({_ID}) \| ([^|]*) \|([^|]*)\|$")
_UNSHOWN = re.compile(rf"^\| ({_ID}) \| ([^|]*) \|$")
_SCENARIO = re.compile(rf'\bscenario\(f?"({_ID}) ')
_TITLE = re.compile(r'@(?:Test|Suite)\(\s*"([^"\n]*)"')
_TOKEN = re.compile(r"@(Test|Suite)\b|\b(?:struct|class|enum|actor|extension)\s+(\w+)|\bfunc\s+(\w+)|([{}])")


class List:
    """The page: the line and the last column of each behaviour, and the line of each reason why no test shows a behaviour."""

    def __init__(self, root):
        path = root / PAGE
        self.lines = path.read_text().split("\n") if path.is_file() else []
        self.rows, self.reasons = {}, {}
        for number, line in enumerate(self.lines, start=1):
            if match := _ROW.match(line):
                self.rows[match[1]] = number, match[3].strip()
            elif match := _UNSHOWN.match(line):
                self.reasons[match[1]] = number, match[2].strip()

    def written(self, shown):
        """The page with its last column as the sources define it."""
        lines = list(self.lines)
        for name, (number, _) in self.rows.items():
            text = _ROW.match(lines[number - 1])[2]
            lines[number - 1] = f"| {name} | {text} | {column(shown, name)} |".replace("|  |", "| |")
        return "\n".join(lines)


class Shown:
    """The tests and scripts that show each id, the ids of each target, and the places that cite ids, from the sources."""

    def __init__(self, root):
        self.root = root
        self.tests, self.scripts, self.targets = {}, {}, {}
        self.cited, self.titles = [], []
        for path in sorted((root / "Tests").rglob("*.swift")):
            if path.name != TAG_FILE:
                self._read(path)
        for script, folder in SCENARIOS.items():
            for path in sorted((root / folder).rglob("*.py")):
                for number, line in enumerate(path.read_text().split("\n"), start=1):
                    for name in _SCENARIO.findall(line):
                        self.scripts.setdefault(name, set()).add(script)
                        self.cited.append((path.relative_to(root), number, name))

    def _read(self, path):
        text, name = path.read_text(), path.relative_to(self.root)
        for match in _CITED.finditer(text):
            self.cited.append((name, _line(text, match.start()), match[0]))
        for match in _TITLE.finditer(text):
            self.titles += [(name, _line(text, match.start()), cited) for cited in _CITED.findall(match[1])]
        for test, ids in tagged(text):
            for cited in ids:
                self.tests.setdefault(cited, set()).add(test)
                self.targets.setdefault(name.parts[1], set()).add(cited)


def tagged(text):
    """The tests and suites of a file that have tags, as `Suite/test` or `Suite`, each with the ids among its tags."""
    code = code_only(text)
    around, opened, pending = [], None, None
    for token in _TOKEN.finditer(code):
        kind, named, function, brace = token.groups()
        if kind:
            pending = kind, _ids(code, token.end())
        elif named or function:
            if pending and (pending[0] == "Test") == bool(function):
                if pending[1]:
                    yield "/".join([*filter(None, around), named or function]), pending[1]
                pending = None
            opened = named
        elif brace == "{":
            around.append(opened)
            opened = None
        elif around:
            around.pop()


def _ids(code, start):
    """The ids among the tags in the parentheses that begin at `start`."""
    depth, end = 0, start
    while end < len(code) and (depth or code[end] == "("):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        end += 1
    return [name for tags in re.findall(r"\.tags\(([^)]*)\)", code[start:end]) for name in re.findall(rf"\.({_ID})\b", tags)]


def _line(text, offset):
    return text.count("\n", 0, offset) + 1


def order(name):
    """Sorts ids by their numbers."""
    letters, digits, rest = re.match(r"([A-Z]+)(\d+)(.*)", name).groups()
    return letters, int(digits), rest


def column(shown, name):
    """The last column of a behaviour: its tests, then the scripts."""
    return ", ".join(f"`{shower}`" for shower in [*sorted(shown.tests.get(name, ())), *sorted(shown.scripts.get(name, ()))])


def tag_files(root, listed, shown):
    """The path and text of each target's tag file, which declares the ids that the target uses. None: it is not needed."""
    files = {path: None for path in (root / "Tests").glob(f"*/{TAG_FILE}")}
    for target, ids in shown.targets.items():
        used = sorted(ids & set(listed.rows), key=order)
        if used:
            lines = [f"    @Tag static var {name}: Self" for name in used]
            head = f"// Written by Scripts/behaviours: the ids of {PAGE} that these tests show.\n\nimport Testing\n\n"
            files[root / "Tests" / target / TAG_FILE] = head + "extension Tag {\n" + "\n".join(lines) + "\n}\n"
    return files


def unlisted(listed, shown):
    """The places where tests and scripts cite an id that the list lacks."""
    return [(path, line, name) for path, line, name in shown.cited if name not in listed.rows]


def problems(root):
    """The problems, as (path, line, problem, remedy)."""
    listed, shown = List(root), Shown(root)
    found = [(path, line, f"{name} is not in {PAGE}", "list it, or mend the id") for path, line, name in unlisted(listed, shown)]
    found += [(path, line, f"a title cites {name}", f"make it a tag: `.tags(.{name})`") for path, line, name in shown.titles]
    for name, (line, told) in listed.rows.items():
        if name not in shown.tests and name not in listed.reasons:
            found.append((PAGE, line, f"no test shows {name}", "tag one, or say why under “Not shown by a test”"))
        elif told != column(shown, name):
            found.append((PAGE, line, f"the tests of {name} are others by now", WRITE))
    for name, (line, _) in listed.reasons.items():
        if name in shown.tests or name not in listed.rows:
            found.append((PAGE, line, f"{name} is shown by a test, or not listed", "take the row out"))
    for path, text in tag_files(root, listed, shown).items():
        if (path.read_text() if path.is_file() else None) != text:
            found.append((path.relative_to(root), 0, "the tags are not those that the tests use", WRITE))
    return found


def write(root):
    """Writes the last column of the page, and the tag files."""
    listed, shown = List(root), Shown(root)
    (root / PAGE).write_text(listed.written(shown))
    for path, text in tag_files(root, listed, shown).items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
