"""Instructions by function, counted by valgrind's callgrind."""

import collections
import re
import subprocess
import sys


class Profile:
    """Callgrind's output: the cost of each function itself, how often it was called, and its cost including all its calls."""

    def __init__(self, path):
        self.cost = collections.Counter()
        self.inclusive = collections.Counter()
        self.calls = collections.Counter()
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
                    else:
                        self.cost[names[function]] += int(words[1])
                is_call = False


def stripped(binary, folder):
    """A copy without debug information, because valgrind's reader fails on the compiler's debug information."""
    copy = folder / binary.name
    subprocess.run(["strip", "--strip-debug", "-o", copy, binary], check=True)
    return copy


def profile(binary, folder, words, timeout=600):
    """Runs a program under callgrind."""
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0 or not out.exists():
        sys.exit(f"{' '.join(map(str, command))} failed: exit {done.returncode}\n{done.stdout}{done.stderr[-2000:]}")
    return Profile(out)
