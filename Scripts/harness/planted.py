"""Planted faults: their files, the check that a fault fits the sources, and the copy of the checkout for planting."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess

# The modules, each before the modules that it depends on. A fault in a module at the end of this list costs the most to build,
# so the faults of one module come together.
MODULES = ("Bowline", "BowlineCall", "BowlineTransport", "BowlineTesting", "BowlineCore",
           "BowlinePlatform")
TEST_TYPE = re.compile(r"^(?:@Suite.*? )?(?:public |package |private |final )*(?:struct|class|actor|enum) (\w+)", re.MULTILINE)


class FaultError(Exception):
    """A problem in the description of a fault."""


class Fault:
    """A mistake in one line: the old and the new text, its kind, and the tests that are likely to find it.

    A file `NAME.fault` has a line `# why`, then `key: value` lines (`kind`, `file`, `run`, `trust`), then the two texts after
    `--- old` and `--- new`. `run` and `trust` may be given more than once.
    """

    def __init__(self, name, text):
        self.name = name
        head, separator, texts = text.partition("\n--- old\n")
        old, second, new = texts.partition("\n--- new\n")
        if not separator or not second:
            raise FaultError(f"{name}: the sections `--- old` and `--- new` are missing")
        self.old = old
        self.new = new.removesuffix("\n")
        # The digest of the planted texts. If the file moves or other tests run first, it is still the same fault.
        self.digest = hashlib.sha256(f"{self.old}\0{self.new}".encode()).hexdigest()[:16]
        self.why = ""
        keys = {"kind": [], "file": [], "run": [], "trust": []}
        for line in head.splitlines():
            if line.startswith("#"):
                self.why = line[1:].strip()
                continue
            key, colon, value = line.partition(":")
            if not colon or key not in keys or not value.strip():
                raise FaultError(f"{name}: the line {line!r} is no `kind:`, `file:`, `run:` or `trust:`")
            keys[key].append(value.strip())
        if len(keys["kind"]) != 1 or len(keys["file"]) != 1 or not keys["run"] or not self.why:
            raise FaultError(f"{name}: needs a line `# why`, one `kind:`, one `file:` and at least one `run:`")
        self.kind, self.file = keys["kind"][0], keys["file"][0]
        self.run, self.trust = keys["run"], keys["trust"]
        if not self.old.strip() or self.old == self.new:
            raise FaultError(f"{name}: the old text is empty, or the same as the new one")

    @property
    def module(self):
        return pathlib.PurePath(self.file).parts[1]

    @property
    def order(self):
        """Sorts the faults of one module together, and those of one file."""
        place = MODULES.index(self.module) if self.module in MODULES else len(MODULES)
        return place, self.file, self.name

    def apply(self, text):
        """The text of the file with the fault planted."""
        count = text.count(self.old)
        if count != 1:
            raise FaultError(f"{self.name}: its old text is {count} times in {self.file}, and has to be there once")
        return text.replace(self.old, self.new)


def faults(folder):
    """Every fault of a folder, in the order that costs the least to build."""
    found = [Fault(path.stem, path.read_text()) for path in folder.glob("*.fault")]
    return sorted(found, key=lambda fault: fault.order)


def problems(root, found):
    """The reasons why faults do not fit the checkout: texts that are not there, tests that do not exist."""
    wrong = []
    texts = {}
    tests = _tests(root)
    for fault in found:
        path = root / fault.file
        if not fault.file.startswith("Sources/") or not path.is_file():
            wrong.append(f"{fault.name}: there is no source {fault.file}")
            continue
        if path not in texts:
            texts[path] = path.read_text()
        try:
            fault.apply(texts[path])
        except FaultError as error:
            wrong.append(str(error))
        wrong += [f"{fault.name}: there is no test {name}" for name in fault.run if name not in tests]
    return wrong


def _tests(root):
    """The names that `run` may use: each test target, and each type in it."""
    names = set()
    for folder in (root / "Tests").iterdir():
        for path in folder.rglob("*.swift"):
            names.add(folder.name)
            names |= {f"{folder.name}.{name}" for name in TEST_TYPE.findall(path.read_text())}
    return names


def digest_of_what_is_built(tree):
    """A digest of the sources and tests. It leaves the faults out."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in ("Sources", "Tests", "Fuzz") for path in (tree / folder).rglob("*") if path.is_file()):
        if path.suffix != ".fault":
            digest.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes())
    digest.update((tree / "Package.swift").read_bytes())
    return digest.hexdigest()[:16]


class Workshop:
    """A copy of the checkout in which faults are planted. It has its own build, which is kept from one fault to the next."""

    def __init__(self, root, folder):
        self.root = root
        self.tree = folder / "tree"
        self.scratch = folder / "build"
        self.results = folder / "results.json"

    def synchronise(self):
        """Makes the copy equal to the checkout. Does not touch files that are the same, so that they are not built again."""
        listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                                 check=True, capture_output=True).stdout.decode()
        # Package.resolved pins the checkout's dependency versions, although git does not track it.
        names = [*listing.split("\0"), "Package.resolved"]
        wanted = {name for name in names if name and (self.root / name).is_file()}
        for name in sorted(wanted):
            source, copy = self.root / name, self.tree / name
            if copy.is_file() and copy.read_bytes() == source.read_bytes():
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
            copy.touch()
        if self.tree.is_dir():
            # Folders whose names begin with a dot belong to tools.
            for path in sorted(self.tree.rglob("*")):
                name = path.relative_to(self.tree)
                if path.is_file() and str(name) not in wanted and not name.parts[0].startswith(".") \
                        and name.name != "Package.resolved":
                    path.unlink()

    def plant(self, fault):
        """Plants a fault. Returns a function that removes it, even if the checkout has changed since."""
        path = self.tree / fault.file
        text = path.read_text()
        path.write_text(fault.apply(text))
        return lambda: path.write_text(text)


class Recompiler:
    """Compiles one module of a finished debug build again, and links the executables again.

    A fault changes the inside of a function and no declaration, so other modules need not be compiled again. Without
    optimization, no code of one module is copied into another. So this class compiles only the one module, with the commands
    that the package manager wrote for its build. The package manager itself would compile every module that depends on it, ten
    times as much.
    """

    # The test and tool modules to link: the last words of the commands' names.
    PRODUCTS = ("bowlinePackageTests-", "bowline-trust-", "bowline-")

    def __init__(self, scratch):
        self.text = (scratch / "debug.yaml").read_text()

    def compiling(self, module):
        """The arguments of the command that compiles a module."""
        return self._arguments(rf"C\.{re.escape(module)}-[^\"]*-debug\.module")

    def linking(self):
        """The arguments of each command that links an executable."""
        return [self._arguments(rf"C\.{re.escape(product)}[^\"]*-debug\.(?:test|exe)") for product in self.PRODUCTS]

    def _arguments(self, name):
        match = re.search(rf'^  "{name}":\n(?:    .*\n)*?    args: (\[.*\])$', self.text, re.MULTILINE)
        if not match:
            raise FaultError(f"the build has no command {name}")
        # With `-parseable-output` the compiler prints messages for a program, so this removes the option.
        return [word for word in json.loads(match.group(1)) if word != "-parseable-output"]
