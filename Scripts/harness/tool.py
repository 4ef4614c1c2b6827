"""Finds the command-line tool `bowline`, runs it, and reads its output."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def find(explicit=None):
    """The tool's path: the given one, else the release build, else the debug build."""
    if explicit:
        path = pathlib.Path(explicit).resolve()
        if not os.access(path, os.X_OK):
            sys.exit(f"{explicit} is not an executable file")
        return path
    for configuration in ("release", "debug"):
        shown = subprocess.run(["swift", "build", "-c", configuration, "--show-bin-path"], cwd=ROOT,
                               capture_output=True, text=True)
        path = pathlib.Path(shown.stdout.strip() or "/nonexistent") / "bowline"
        if shown.returncode == 0 and os.access(path, os.X_OK):
            if configuration == "debug":
                print("note: this is the debug build; `swift build -c release --product bowline` makes the fast one")
            return path
    sys.exit("no `bowline` is built: run `swift build -c release --product bowline` first")


class Run:
    """The output and the cost of one run of the tool."""

    def __init__(self, arguments, status, stdout, stderr, seconds, peak_kib, cpu_seconds):
        self.arguments = arguments
        self.status = status
        self.stderr = stderr
        self.seconds = seconds
        self.peak_kib = peak_kib
        self.cpu_seconds = cpu_seconds
        self.stdout = stdout
        self.lines = []
        self.summary = {}
        self.noise = []
        for line in stdout.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                self.noise.append(line)
                continue
            if isinstance(value, dict) and "summary" in value:
                self.summary = value["summary"]
            else:
                self.lines.append(value)
        self.lines.sort(key=lambda line: line.get("index", 0))

    @property
    def peak_mib(self):
        return self.peak_kib / 1024

    def statuses(self):
        return [line.get("status") for line in self.lines]

    def errors(self):
        return [line["error"] for line in self.lines if "error" in line]

    def connections(self):
        return [line.get("connection", {}).get("id") for line in self.lines]

    def tail(self):
        """The last words on standard error, for an error message."""
        return self.stderr.strip()[-300:]


def _plain(arguments):
    """One attempt and no redirect unless a check says otherwise: retries would hide the failures that the checks look for."""
    if not arguments or arguments[0] != "request":
        return arguments
    plain = []
    for option, value in (("--max-attempts", "1"), ("--follow", "0")):
        if not any(str(argument).split("=")[0] == option for argument in arguments):
            plain += [option, value]
    return ["request", *plain, *arguments[1:]]


class Process:
    """The running tool: wait for it, or send it signals."""

    def __init__(self, path, arguments, environment=None, prefix=()):
        arguments = _plain(arguments)
        self.arguments = arguments
        self.began = time.monotonic()
        self.ended = None
        self.process = subprocess.Popen([*prefix, str(path), *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(environment or {})})
        self._peak_kib = 0
        threading.Thread(target=self._watch_memory, daemon=True).start()
        self._output = {"stdout": b"", "stderr": b""}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._output]
        for reader in self._readers:
            reader.start()

    def _read(self, name):
        pipe = getattr(self.process, name)
        for piece in iter(lambda: pipe.read1(65536), b""):
            self._output[name] += piece

    def _watch_memory(self):
        """Reads VmHWM, the kernel's maximum of the memory. (wait4's ru_maxrss starts at the parent's maximum, not at 0.)"""
        while self.ended is None:
            try:
                with open(f"/proc/{self.process.pid}/status") as status:
                    marks = [int(line.split()[1]) for line in status if line.startswith("VmHWM:")]
            except (OSError, ValueError):
                return
            self._peak_kib = max([self._peak_kib, *marks])
            time.sleep(0.02)

    def send(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def ended_requests(self):
        """The indices of the requests that have ended so far, with --json."""
        text = self._output["stdout"]
        return {int(index) for index in re.findall(rb'^{"index":(\d+)', text, re.MULTILINE)}

    def is_running(self):
        return self.ended is None and os.waitid(os.P_PID, self.process.pid,
                                                os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, seconds):
        """Waits for the end; kills the tool and raises if it takes longer. The cost is that of the child process only."""
        killer = threading.Timer(seconds, self._kill)
        killer.start()
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        finally:
            killer.cancel()
        self.ended = time.monotonic()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        for reader in self._readers:
            reader.join(5)
        output = {name: text.decode(errors="replace") for name, text in self._output.items()}
        if self.ended - self.began >= seconds and self.process.returncode == -signal.SIGKILL:
            raise TimeoutError(f"the tool did not end within {seconds} s; stderr: {output['stderr'][-300:]!r}")
        return Run(self.arguments, self.process.returncode, output["stdout"], output["stderr"], self.ended - self.began,
                   self._peak_kib, usage.ru_utime + usage.ru_stime)

    def _kill(self):
        self.process.kill()


def run(path, arguments, seconds=60, environment=None, prefix=()):
    """Runs the tool to its end."""
    return Process(path, arguments, environment, prefix).wait(seconds)
