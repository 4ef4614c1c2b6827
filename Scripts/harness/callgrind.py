"""Instructions by function, counted by valgrind's callgrind."""

import collections
import re
import subprocess
import sys


class Profile:
    """Callgrind's output: the cost of each function itself, how often it was called, its cost including all its calls, and the
    cost of the calls from one function to another."""

    def __init__(self, path=None):
        self.cost = collections.Counter()
        self.inclusive = collections.Counter()
        self.calls = collections.Counter()
        self.edges = collections.Counter()
        if path:
            self._read(path)

    def _read(self, path):
        names, function, called = {}, None, None
        is_call = False
        for line in path.read_text(errors="replace").splitlines():
            if match := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
                if match[3]:
                    names[match[2]] = match[3].strip()
                if match[1]:
                    called = match[2]
                else:
                    function = match[2]
            elif line.startswith("calls="):
                # The next line has the cost of the called function.
                is_call = True
                self.calls[names[called]] += int(line[len("calls="):].split()[0])
            elif re.match(r"[+*\-\d]", line):
                if function and len(words := line.split()) > 1:
                    if is_call:
                        self.inclusive[names[called]] += int(words[1])
                        self.edges[names[function], names[called]] += int(words[1])
                    else:
                        self.cost[names[function]] += int(words[1])
                is_call = False


def package(name):
    """The package whose code a function is; nil: the function belongs to the Swift runtime or the C library."""
    name = name.split("'")[0]
    if "BoringSSL" in name or LIBRARY_OF_TLS.match(name):
        return "BoringSSL"
    if match := re.match(r"\$s(\d+)(\w+)", name):
        module = match[2][:int(match[1])]
        return "NIOSSL" if module == "NIOSSL" else next((owner for prefix, owner in PACKAGES if module.startswith(prefix)), "other packages")
    return None


# The parts of BoringSSL that are written in assembly or have no name of its own in theirs.
LIBRARY_OF_TLS = re.compile(r"(mlkem|fe_|ge_|keccak|table_select|_*ecp_nistz256|\(anonymous namespace\)::pkey|ssl_|CBB?_|CBS_)")
PACKAGES = [("Bowline", "Bowline"), ("NIO", "SwiftNIO"), ("_NIO", "SwiftNIO"), ("CNIO", "SwiftNIO")]


def per_round(once, twice, count):
    """The difference of two profiles, divided by the number of requests that the second has more."""
    shares = Profile()
    for part in ("cost", "inclusive", "calls", "edges"):
        before = getattr(once, part)
        getattr(shares, part).update({key: (cost - before[key]) / count for key, cost in getattr(twice, part).items()})
    return shares


def by_package(shares):
    """Instructions by package. Those of the runtime and the C library are counted for the packages that call them, in
    proportion to the cost of the calls."""
    callers = collections.defaultdict(list)
    for (caller, called), cost in shares.edges.items():
        if cost > 0 and caller != called:
            callers[called].append((caller, cost))
    found, pending = collections.Counter(), shares.cost
    # A call passes through few functions of the runtime. Calls that form a cycle lose part of their cost in each round.
    for _ in range(60):
        passed_on = collections.Counter()
        for name, cost in pending.items():
            if owner := package(name):
                found[owner] += cost
            elif total := sum(share for _, share in callers[name]):
                for caller, share in callers[name]:
                    passed_on[caller] += cost * share / total
        pending = passed_on
    return found


def stripped(binary, folder):
    """A copy without debug information, because valgrind's reader fails on the compiler's debug information."""
    copy = folder / binary.name
    subprocess.run(["strip", "--strip-debug", "-o", copy, binary], check=True)
    return copy


def run(binary, folder, words, timeout, *options):
    """Runs a program under callgrind. Returns its output, and the file of its counts."""
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *options, binary, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0 or not out.exists():
        sys.exit(f"{' '.join(map(str, command))} failed: exit {done.returncode}\n{done.stdout}{done.stderr[-2000:]}")
    return done.stdout, out


def profile(binary, folder, words, timeout=600):
    """Runs a program under callgrind."""
    _, out = run(binary, folder, words, timeout)
    return Profile(out)


def parts(binary, folder, words, function, timeout=600):
    """Runs a program under callgrind. Returns its output, and the instructions of each part of its run: the first part ends
    when the program first calls `function`, the next at the next call, and so on."""
    output, out = run(binary, folder, words, timeout, f"--dump-before={function}")
    files = sorted(folder.glob("callgrind.out.*"), key=lambda file: int(file.suffix[1:]))
    return output, [int(re.search(r"^(?:totals|summary): (\d+)", file.read_text(errors="replace"), re.M)[1]) for file in files]
