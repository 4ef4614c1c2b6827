"""The rules of `Scripts/check`: each takes the checkout's root and returns its violations."""

import pathlib
import re
import subprocess

from harness import behaviours, pictures, planted
from harness.swift_source import code_only, imports


class Violation:
    """The place, the problem and the remedy."""

    def __init__(self, path, line, problem, remedy):
        self.path = str(path)
        self.line = line
        self.problem = problem
        self.remedy = remedy

    def __str__(self):
        return f"{self.path}:{self.line}: {self.problem}; {self.remedy}"


CODE_FOLDERS = ("Sources", "Tests", "Fuzz", "Examples", "Benchmarks", "Integrations")

# The complete list of what each module may import. A name that ends in * stands for every module with that beginning. The
# modules above BowlineCore get `HTTPTypes` by its re-export.
WALLS = {
    "BowlinePlatform": [],
    "BowlineCore": ["BowlinePlatform", "HTTPTypes", "Logging", "ServiceContextModule", "NIOCore"],
    "BowlineCall": ["BowlineCore", "BowlinePlatform", "Logging", "Metrics", "Tracing", "CZlib"],
    # HTTP/2 uses our own wire: not NIOHTTP2, not NIOHPACK.
    "BowlineTransport": [
        "BowlineCore", "BowlinePlatform", "Crypto", "DequeModule", "NIOCore", "NIOPosix", "NIOSSL", "NIOTLS",
    ],
    "Bowline": [
        "BowlineCore", "BowlineCall", "BowlineTransport", "FoundationEssentials", "Logging", "ServiceLifecycle",
        # Only with the package trait of that name: Docs/Decisions/configuration-trait.md.
        "Configuration",
    ],
    "BowlineTesting": ["BowlineCore", "BowlinePlatform", "NIO*"],
    "BowlineTool": ["Bowline", "BowlinePlatform", "ArgumentParser", "Foundation", "FoundationEssentials", "Dispatch"],
    # Uses all other modules from outside; no other module imports it.
    "BowlineTrust": [
        "CMalloc", "Bowline", "BowlineCore", "BowlinePlatform", "BowlineTesting", "BowlineTransport", "ArgumentParser", "Logging",
        # Dispatch: a protocol of SwiftNIO has a queue in a signature.
        "NIO*", "Dispatch",
    ],
    "CZlib": [],
    "CMalloc": [],
    # A separate package: Integrations/OpenAPI.
    "BowlineOpenAPI": ["Bowline", "OpenAPIRuntime", "FoundationEssentials"],
}
# The modules that use Foundation only where FoundationEssentials does not exist.
ESSENTIALS = ["Bowline", "BowlineOpenAPI"]
# The only file of a module that imports either, with the `canImport` ladder for both.
FOUNDATION_FILE = {"Bowline": "Sources/Bowline/Essentials.swift"}
STANDARD = ["Swift", "_Concurrency", "Synchronization"]
PLATFORM = ["Glibc", "Musl", "Bionic", "Android", "Darwin"]
# The only module that checks which platform it runs on.
PLATFORM_MODULE = "BowlinePlatform"
# Folders that may import less than their module. The pool uses neither SwiftNIO nor the C library; the wires of both protocols
# use only bytes.
FOLDER_WALLS = {
    "Sources/BowlineTransport/Pool": ["BowlineCore", "DequeModule", "Synchronization"],
    "Sources/BowlineTransport/HTTP1/Wire": ["BowlineCore", "NIOCore"],
    "Sources/BowlineTransport/HTTP2/Wire": ["BowlineCore", "NIOCore"],
}
# BowlineCore imports NIOCore for `ByteBuffer`. These names belong to the transport.
NIO_MACHINERY = re.compile(
    r"\b(EventLoop|EventLoopGroup|EventLoopFuture|EventLoopPromise|Channel|ChannelHandler|ChannelHandlerContext|"
    r"ChannelPipeline|SocketAddress|NIODeadline|TimeAmount|NIOAsyncChannel|NIOLoopBound)\b"
)


def swift_files(root, folders=CODE_FOLDERS):
    """Every Swift file under the folders, in order, without build products."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.swift")):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def library_folders(root):
    """The folders with the sources that users build: ours, and those of the integrations."""
    return ["Sources", *_integrated(root, "Sources")]


def test_folders(root):
    """The folders with tests: ours, and those of the integrations."""
    return ["Tests", *_integrated(root, "Tests")]


def _integrated(root, folder):
    return sorted(str(path.relative_to(root)) for path in (root / "Integrations").glob(f"*/{folder}"))


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


def import_walls(root):
    found = []
    for folder in _modules(root):
        module = folder.name
        if module not in WALLS:
            found.append(Violation(folder.relative_to(root), 0, f"module {module} is in no row of the import walls",
                                   "add it to DESIGN §1 and to WALLS in Scripts/harness/rules.py"))
            continue
        for path in swift_files(root, [folder.relative_to(root)]):
            found += _imports_of(path, module, root)
    return found


def _modules(root):
    """The folder of each module that users build."""
    folders = [root / folder for folder in library_folders(root)]
    return sorted(p for folder in folders if folder.is_dir() for p in folder.iterdir() if p.is_dir())


def _imports_of(path, module, root):
    found = []
    text = read(path)
    name = path.relative_to(root)
    listed = imports(text)
    for item in listed:
        if item.module in PLATFORM and module == PLATFORM_MODULE:
            if not item.is_guarded(item.module):
                found.append(Violation(name, item.line, f"`{item.module}` exists on some platforms only",
                                       f"put it under `#if canImport({item.module})`"))
        elif item.module in ("Foundation", "FoundationEssentials") and FOUNDATION_FILE.get(module, str(name)) != str(name):
            found.append(Violation(name, item.line, f"`{item.module}` is imported outside of {FOUNDATION_FILE[module]}",
                                   f"put what needs it into {FOUNDATION_FILE[module]}, which has one `canImport` ladder for all"))
        elif item.module == "Foundation" and module in ESSENTIALS:
            if not item.is_fallback_for("FoundationEssentials"):
                found.append(Violation(name, item.line, f"{module} uses FoundationEssentials, not Foundation",
                                       "import FoundationEssentials, with Foundation in the #else of its canImport"))
        elif item.module in PLATFORM:
            found.append(Violation(name, item.line, f"`{item.module}` is imported outside of {PLATFORM_MODULE}",
                                   f"import {PLATFORM_MODULE}, which has one `canImport` ladder for all"))
        elif not _allowed(item.module, module):
            allowed = ", ".join(WALLS[module]) or "nothing"
            found.append(Violation(name, item.line, f"{module} may not import `{item.module}`",
                                   f"it may import {allowed}; move the code, or change DESIGN §1 first"))
    if module == "BowlineCore" and any(item.module == "NIOCore" for item in listed):
        for number, line in enumerate(code_only(text).split("\n"), start=1):
            if match := NIO_MACHINERY.search(line):
                found.append(Violation(name, number, f"BowlineCore has NIOCore for ByteBuffer, not `{match.group(1)}`",
                                       "move this to BowlineTransport"))
    return found


def folder_walls(root):
    """A folder of FOLDER_WALLS may import only what is listed there, and names no channel and no event loop."""
    found = []
    for folder, allowed in FOLDER_WALLS.items():
        for path in swift_files(root, [folder]):
            text = read(path)
            name = path.relative_to(root)
            for item in imports(text):
                if item.module not in allowed:
                    found.append(Violation(name, item.line, f"{folder} may not import `{item.module}`",
                                           f"it may import {', '.join(allowed)}; move the code, or change DESIGN §1 first"))
            found += _named(name, text, NIO_MACHINERY, f"{folder} knows", "move this to the connection")
    return found


# What a state machine must not use: its driver passes the time and random numbers in, and performs the actions that it returns.
_IMPURE = re.compile(
    r"\b(await|async|Task|Guarded|Mutex|Atomic|ServiceClock|MonotonicClock|ContinuousClock|EventLoop|Channel|Logger)\b"
)


def pure_machines(root):
    """State machines and all files of the wires: no task, lock, clock, event loop or logger."""
    found = []
    for path in swift_files(root, library_folders(root)):
        name = path.relative_to(root)
        is_wire = any(str(name).startswith(f"{folder}/") for folder in FOLDER_WALLS if folder.endswith("/Wire"))
        if is_wire or "StateMachine" in path.name:
            found += _named(name, read(path), _IMPURE, "a machine knows", "move this to its driver")
    return found


def _named(name, text, pattern, verb, remedy):
    return [Violation(name, number, f"{verb} no `{match.group(1)}`", remedy)
            for number, line in enumerate(code_only(text).split("\n"), start=1) if (match := pattern.search(line))]


def _allowed(imported, module):
    if imported in STANDARD:
        return True
    for entry in WALLS[module]:
        if entry == imported or (entry.endswith("*") and imported.startswith(entry[:-1])):
            return True
    return False


def file_sizes(root):
    found = []
    for path in swift_files(root):
        name = path.relative_to(root)
        limit = 800 if "Tests" in name.parts else 600
        lines = len(read(path).splitlines())
        if lines > limit:
            found.append(Violation(name, lines, f"{lines} lines, more than {limit}",
                                   "split it by state group, event source or topic into Type+Topic.swift"))
    return found


_TRAPS = [
    (re.compile(r"\bfatalError\s*\("), "`fatalError(`",
     "make it a defined error, or `preconditionFailure` if only a bug of ours can reach it"),
    (re.compile(r"\btry!"), "`try!`", "handle or rethrow the error"),
    (re.compile(r"\bas!"), "`as!`", "use `as?` and handle the other case"),
]


def traps(root):
    found = []
    for path in swift_files(root, library_folders(root)):
        for number, line in enumerate(code_only(read(path)).split("\n"), start=1):
            for pattern, name, remedy in _TRAPS:
                if pattern.search(line):
                    found.append(Violation(path.relative_to(root), number, f"{name} in Sources", remedy))
    return found


_UNSAFE = re.compile(r"@unchecked\s+Sendable|\bnonisolated\s*\(\s*unsafe\s*\)")


def safety_notes(root):
    found = []
    for path in swift_files(root):
        text = read(path)
        lines = text.split("\n")
        for index, code in enumerate(code_only(text).split("\n")):
            match = _UNSAFE.search(code)
            if match and not _has_safety_note(lines, index):
                found.append(Violation(path.relative_to(root), index + 1, f"`{match.group(0)}` says not why it is safe",
                                       "write `// Safety: …` directly above"))
    return found


def _has_safety_note(lines, index):
    """Whether a note is within two lines above, or in the comment block that ends there, but not above another unsafe line."""
    if "// Safety:" in lines[index]:
        return True
    for above in range(index - 1, max(-1, index - 3), -1):
        if _UNSAFE.search(lines[above]) and not lines[above].strip().startswith("//"):
            return False
        if "// Safety:" in lines[above]:
            return True
    above = index - 1
    while above >= 0 and lines[above].strip().startswith(("//", "@")):
        if "// Safety:" in lines[above]:
            return True
        above -= 1
    return False


_SLEEP = re.compile(r"(?P<receiver>(?:[\w>)\]?!]+\s*\.\s*)?)\b(?P<name>sleep|usleep|nanosleep)\s*\(")


def sleeps(root):
    found = []
    for path in swift_files(root, test_folders(root)):
        for number, line in enumerate(code_only(read(path)).split("\n"), start=1):
            for match in _SLEEP.finditer(line):
                receiver = match.group("receiver").strip(" .")
                declares = re.search(r"\bfunc\s+$", line[: match.start()])
                if declares or re.fullmatch(r"\w*([cC]lock|[cC]ontext|base|[tT]ime)[?!]?", receiver):
                    continue
                found.append(Violation(path.relative_to(root), number, "a test sleeps in real time",
                                       "await the event itself, or sleep on an injected test clock"))
    return found


# A task that does not inherit the executor leaves the thread of virtual time. These files make tasks that must leave it,
# or define the ways to inherit it.
_OWN_TASK = re.compile(r"(?<!-> )\bTask(?:<[^>]*>)?(?:\.detached)?\s*(?:\(\s*priority\s*:[^)]*\)\s*)?\{|\bTask\.detached\b")
_OWN_TASK_MODULES = ["BowlineCore", "BowlineCall", "Bowline", "BowlineTransport"]
_OWN_TASK_FILES = ["FileDownload.swift", "SingletonLoops.swift", "InheritedExecutor.swift"]


def own_tasks(root):
    found = []
    for path in swift_files(root, [f"Sources/{module}" for module in _OWN_TASK_MODULES]):
        if path.name in _OWN_TASK_FILES:
            continue
        for number, line in enumerate(code_only(read(path)).split("\n"), start=1):
            if _OWN_TASK.search(line):
                found.append(Violation(path.relative_to(root), number, "a task that leaves the thread of virtual time",
                                       "make it with Task.inheriting or Task.detachedInheriting"))
    return found


# A Character takes the combining marks behind it with it, so foreign text can hide a separator from a split of Characters.
_CHARACTER_SPLIT = re.compile(r"\.split\s*(?:\(\s*separator:\s*\"|\{\s*\$0 == \"|\(whereSeparator:\s*\{\s*\$0 == \")")
_CHARACTER_SPLIT_MODULES = _OWN_TASK_MODULES


def character_splits(root):
    found = []
    for path in swift_files(root, [f"Sources/{module}" for module in _CHARACTER_SPLIT_MODULES]):
        for number, line in enumerate(code_only(read(path)).split("\n"), start=1):
            if _CHARACTER_SPLIT.search(line):
                found.append(Violation(path.relative_to(root), number, "text is split at Characters",
                                       "split its `utf8` at a byte: a combining mark hides a separator before it"))
    return found


_LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def left_overs(root):
    found = []
    for path in swift_files(root):
        for number, line in enumerate(read(path).split("\n"), start=1):
            if match := _LEFT_OVER.search(line):
                found.append(Violation(path.relative_to(root), number, f"`{match.group(1)}` left over",
                                       "do it now, or write it into an issue"))
    return found


# What Swift 6.2, the oldest version that the package supports, does not know.
_NEWER_SWIFT = re.compile(r"\bweak\s+let\b")


def newer_swift(root):
    found = []
    for path in swift_files(root):
        for number, line in enumerate(code_only(read(path)).split("\n"), start=1):
            if match := _NEWER_SWIFT.search(line):
                found.append(Violation(path.relative_to(root), number, f"`{match.group(0)}` needs Swift 6.3",
                                       "keep the `weak var` in a struct, and the struct in a `let`"))
    return found


# A path on a developer's machine. Written so that this line does not match.
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|opt|farm|Users|home/[a-z_]\w*)/")


def machine_paths(root):
    found = []
    for path in _kept_files(root):
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", errors="replace").split("\n"), start=1):
            if match := _MACHINE_PATH.search(line):
                found.append(Violation(path.relative_to(root), number, f"absolute machine path `{match.group(0)}…`",
                                       "use a path relative to the checkout, or a variable"))
    return found


def _kept_files(root):
    """The files that git tracks or would track; without git, every file outside build folders."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                             capture_output=True)
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=root, capture_output=True, text=True)
    if top.returncode == 0 and pathlib.Path(top.stdout.strip()).resolve() == root.resolve():
        names = [n for n in listing.stdout.decode().split("\0") if n]
        paths = [root / n for n in names]
    else:
        paths = [p for p in root.rglob("*") if not any(q.startswith(".build") for q in p.relative_to(root).parts)]
    return sorted(p for p in paths if p.is_file() and not p.is_symlink())


_VAGUE = {"utils", "util", "utilities", "helpers", "helper", "common", "misc", "internal"}


def folder_names(root):
    found = []
    for top in CODE_FOLDERS + ("Docs", "Scripts"):
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root)
            hidden = any(part.startswith(".") for part in name.parts)
            if path.is_dir() and not hidden and path.name.lower() in _VAGUE:
                found.append(Violation(name, 0, f"a folder called {path.name} says nothing",
                                       "put its files beside their only user, or name the concept"))
    return found


_ROW = re.compile(r"^\|[^|]*\|\s*`([^`]+)`\s*\|\s*`([^`]+)`\s*\|\s*$")


def road_map(root):
    """The table in Sources/README.md names folders and files: each must exist."""
    found = []
    path = root / "Sources" / "README.md"
    for number, line in enumerate(read(path).split("\n") if path.is_file() else [], start=1):
        if (match := _ROW.match(line)) and not (root / "Sources" / match.group(1) / match.group(2)).is_file():
            found.append(Violation(path.relative_to(root), number, f"{match.group(1)}/{match.group(2)} is not there",
                                   "name the file where a reader should begin"))
    return found


_SHOWN = re.compile(r"`(\w+Tests)/(\w+)`")


def named_tests(root):
    """A page that names a test, as `SuiteTests/function`, names an existing one, so that `swift test --filter` finds it."""
    found = []
    for path in [root / "README.md", *sorted((root / "Docs").rglob("*.md"))]:
        for number, line in enumerate(read(path).split("\n") if path.is_file() else [], start=1):
            for suite, function in _SHOWN.findall(line):
                if not any(_has_test(read(file), suite, function) for file in _suite_files(root, suite)):
                    found.append(Violation(path.relative_to(root), number, f"no test {suite}/{function} in Tests",
                                           "name the test that shows it"))
    return found


def _suite_files(root, suite):
    return sorted(path for folder in test_folders(root) for path in (root / folder).rglob(f"{suite}.swift"))


def _has_test(text, suite, function):
    """Whether the file has the suite, and a `@Test` with that function name."""
    code = code_only(text)
    if not re.search(rf"\b(struct|class|enum|actor)\s+{suite}\b", code):
        return False
    functions = [re.search(r"\bfunc\s+(\w+)", part) for part in code.split("@Test")[1:]]
    return any(match and match.group(1) == function for match in functions)


def shown_behaviours(root):
    """Tests/BEHAVIOURS.md lists each id that tests cite, names the tests that show each, and says why an id has none."""
    return [Violation(*problem) for problem in behaviours.problems(root)]


# A public symbol. A member of a protocol in the same module or in the standard library inherits the protocol's documentation.
_PUBLIC = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*public\s+(?:(?:static|final|mutating|nonisolated|indirect|convenience|required|"
    r"(?:private|internal|package)\(set\))\s+)*"
    r"(?:func|var|let|init|struct|class|enum|protocol|typealias|subscript|actor)\b\s*`?(?P<name>[\w$]*)"
)
_INHERITED = {"customMirror", "description", "next", "now", "minimumResolution", "send", "beginDrain", "close"}


def documented_symbols(root):
    found = []
    for path in swift_files(root, library_folders(root)):
        lines = read(path).split("\n")
        for index, code in enumerate(code_only("\n".join(lines)).split("\n")):
            match = _PUBLIC.match(code)
            if not match or match.group("name") in _INHERITED:
                continue
            above = index - 1
            while above >= 0 and lines[above].strip().startswith("@"):
                above -= 1
            if above < 0 or not lines[above].strip().startswith("///"):
                found.append(Violation(path.relative_to(root), index + 1, "a public symbol without a word about it",
                                       "say what it is for, units, ranges, what it throws"))
    return found


# The names, OpenTelemetry's and ours, that spans, metrics and log lines use.
_TOLD = re.compile(r"""["`]((?:http|server|url|network|error|bowline|otel)\.[a-z_.]+)["`]""")
_EVENT = re.compile(r"^    func (\w+)\(_ event:", re.MULTILINE)


def told_names(root):
    """Docs/Telemetry.md names each existing attribute, metric and event, and no other."""
    page = root / "Docs" / "Telemetry.md"
    if not page.is_file():
        return []
    text = read(page)
    folders = ("BowlineCall/Telemetry", "Bowline/Lifecycle")
    code = "\n".join(read(path) for folder in folders for path in swift_files(root, [f"Sources/{folder}"]))
    events = root / "Sources" / "BowlineCore" / "Telemetry" / "ServiceEventListener.swift"
    real = set(_TOLD.findall(code)) | set(_EVENT.findall(read(events) if events.is_file() else ""))
    told = set(_TOLD.findall(text)) | {name for name in re.findall(r"`(\w+)`", text) if name in real}
    listed = [name for row in text.split("\n") if re.match(r"\| `(request|response|retry|connection)\w+`", row)
              for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    name = page.relative_to(root)
    found = [Violation(name, 0, f"`{missing}` is told and not in the page", "say when and what") for missing in
             sorted(real - told)]
    return found + [Violation(name, 0, f"`{extra}` is in the page and never told", "take it out") for extra in
                    sorted({t for t in told if "." in t} - real) + sorted(set(listed) - real)]


_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def page_links(root):
    """Each link of a page leads to an existing file, and to an existing heading in it."""
    found = []
    pages = [path for path in _kept_files(root) if path.suffix == ".md"]
    for page in pages:
        for number, line in enumerate(_prose(read(page)), start=1):
            for target, anchor in _LINK.findall(line):
                place = (page.parent / target) if target else page
                if not place.exists():
                    found.append(Violation(page.relative_to(root), number, f"{target} is not there", "mend the link"))
                elif anchor and place.suffix == ".md" and anchor not in _anchors(read(place)):
                    found.append(Violation(page.relative_to(root), number, f"no heading #{anchor} in {place.name}",
                                           "mend the link"))
    return found


def _prose(text):
    """The lines of a page. Lines in code blocks are empty."""
    lines, is_code = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            is_code = not is_code
        lines.append("" if is_code else line)
    return lines


def _anchors(text):
    """The anchors of a page's headings: lower case, words joined by hyphens, no other signs."""
    headings = [line.lstrip("#").strip().lower() for line in _prose(text) if re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def planted_faults(root):
    """Each fault of Tests/PlantedFaults fits the sources: its old text is in its file exactly once, and its tests exist."""
    folder = root / "Tests" / "PlantedFaults"
    if not folder.is_dir():
        return []
    try:
        wrong = planted.problems(root, planted.faults(folder))
    except planted.FaultError as error:
        wrong = [str(error)]
    return [Violation(folder.relative_to(root), 0, problem, "bring the fault in step with the sources") for problem in wrong]


def trust_figures(root):
    """The table of figures in Docs/Trust.md has a row for each part of Scripts/trust, and no other."""
    script, page = root / "Scripts" / "trust", root / "Docs" / "Trust.md"
    if not script.is_file():
        return []
    parts = re.findall(r'^(?:timed_|begin_)?part "(.+?)"', read(script), re.MULTILINE)
    text = read(page) if page.is_file() else ""
    table = text.partition("<!-- figures: begin -->")[2].partition("<!-- figures: end -->")[0]
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)[1:]
    wrong = [f"there is no row `{part}`" for part in parts if part not in rows]
    wrong += [f"Scripts/trust has no part `{row}`" for row in rows if row not in parts]
    return [Violation(page.relative_to(root), 0, problem, "run `Scripts/trust --write`") for problem in wrong]


def drawn_pictures(root):
    """Each picture of Docs/Pictures equals the one that its source draws."""
    if not (root / pictures.FOLDER).is_dir() and not (root / pictures.MACHINE).is_file():
        return []
    return [Violation(*wrong, "run `Scripts/draw`, and look at the picture") for wrong in pictures.problems(root)]


RULES = [
    ("import walls", import_walls),
    ("walls of folders", folder_walls),
    ("pure machines", pure_machines),
    ("file sizes", file_sizes),
    ("no traps in Sources", traps),
    ("safety notes", safety_notes),
    ("no sleeping tests", sleeps),
    ("tasks that inherit the executor", own_tasks),
    ("text is split at bytes", character_splits),
    ("no left-overs", left_overs),
    ("nothing newer than Swift 6.2", newer_swift),
    ("no machine paths", machine_paths),
    ("folder names", folder_names),
    ("Sources/README.md's table", road_map),
    ("links of pages", page_links),
    ("tests that pages name", named_tests),
    ("behaviours that tests show", shown_behaviours),
    ("documented symbols", documented_symbols),
    ("Docs/Telemetry.md's names", told_names),
    ("planted faults", planted_faults),
    ("figures of Docs/Trust.md", trust_figures),
    ("pictures", drawn_pictures),
]
