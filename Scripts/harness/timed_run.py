"""Runs a command with a time limit, and records which tests it started and ended."""

import os
import re
import signal
import subprocess
import threading
import time

# The lines of swift-testing: ◇ started, ✔ passed, ✘ failed, ➜ skipped. On other terminals the symbols differ, the words do not.
TEST = re.compile(r'^\S+ (?:Test|Suite) (?!run )(".*?"|\S+?)(?: with .*)? (started|passed|failed|skipped)\b')
KIND = re.compile(r"^\S+ (Test|Suite) ")
# A test argument with a zero byte ends its line early, and the next message follows on the same line.
BEGINNING = re.compile(r"[◇✔✘➜━] (?=(?:Test|Suite) )")
SUMMARY = re.compile(r"Test run with (\d+) tests?")
# The texts of a line that reports a failure. A known issue is not a failure.
FAILURE = re.compile(r"^✘|recorded an issue|Fatal error|ThreadSanitizer|AddressSanitizer|unexpected signal")
KNOWN = re.compile(r"with [0-9]* known issue")


class Account:
    """The state of a test run: which tests and suites have begun and not ended, which failed, how many ran."""

    def __init__(self):
        self.suites = []
        self.tests = []
        self.failures = []
        self.tail = []
        self.counts = []

    def note(self, line):
        self.tail = (self.tail + [line])[-5:]
        if FAILURE.search(line) and not KNOWN.search(line):
            self.failures.append(line[:4000])
        summary = SUMMARY.search(line)
        if summary and " started" not in line:
            self.counts.append(int(summary.group(1)))
        beginnings = list(BEGINNING.finditer(line))
        line = line[beginnings[-1].start():] if beginnings else line
        match = TEST.match(line)
        if not match or line.split(" ", 3)[1:3] == ["Test", "case"]:
            return
        name, what = match.groups()
        under_way = self.suites if KIND.match(line).group(1) == "Suite" else self.tests
        if what == "started":
            under_way.append(name)
        elif name in under_way:
            under_way.remove(name)

    @property
    def ran(self):
        """How many tests the runs counted; None: no run reached its end."""
        return sum(self.counts) if self.counts else None


class TimedRun:
    """A command in its own process group. When its time is over, the command and all its child processes are killed."""

    def __init__(self, command, limit, on_line, cwd=None, env=None):
        self.limit = limit
        self.is_over_time = False
        self.account = Account()
        self._on_line = on_line
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        # A separate thread reads the output: a process that outlives the command may keep the output open permanently.
        self._reader = threading.Thread(target=self._read, daemon=True)

    def wait(self):
        """Waits for the end of the output. Returns the exit status as a shell counts it; 124 if the time was over."""
        end = time.monotonic() + self.limit
        self._reader.start()
        try:
            self._reader.join(self.limit)
            if self._reader.is_alive():
                self._end_by_force()
                return 124
            try:
                status = self.process.wait(max(1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._end_by_force()
                return 124
        except BaseException:
            self.kill()
            raise
        return 128 - status if status < 0 else status

    def _read(self):
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.account.note(text)
            try:
                self._on_line(text)
            except (OSError, ValueError):
                # Our output is closed, but the command's output must still be read.
                self._on_line = lambda text: None

    def _end_by_force(self):
        self.is_over_time = True
        # Kills leaf processes first: `swift test` buffers some of the tests' output and writes it when the tests have ended.
        for _ in range(5):
            parents = _parents()
            leaves = [pid for pid in _descendants(self.process.pid, parents) if pid not in parents.values()]
            if not leaves:
                break
            _kill(leaves)
            self._reader.join(2)
            if not self._reader.is_alive():
                break
        self.kill()
        self._reader.join(10)
        self.process.wait(10)

    def kill(self):
        """Kills the command and all its child processes."""
        _kill([*_descendants(self.process.pid, _parents()), self.process.pid])
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def _parents():
    """The parent of each process on the machine."""
    found = {}
    if os.path.isdir("/proc/self"):
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    # After the program's name, which may contain spaces and parentheses: the state, then the parent.
                    found[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
        return found
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in (line.split() for line in listing.splitlines())}


def _descendants(root, parents):
    found = []
    level = [root]
    while level:
        level = [pid for pid, parent in parents.items() if parent in level]
        found += level
    return found


def _kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
