"""Runs the tool with one failing system call: starts it, stops it at the gate, attaches strace, and continues it."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

GATE_SOURCE = pathlib.Path(__file__).with_name("gate.c")
# One event loop and one thread for files, so that the n-th call of a thread is the same call in each run.
FEW_THREADS = {
    "NIO_SINGLETON_GROUP_LOOP_COUNT": "1", "NIO_SINGLETON_BLOCKING_POOL_THREAD_COUNT": "1",
    "LIBDISPATCH_COOPERATIVE_POOL_STRICT": "1", "SWIFT_BACKTRACE": "enable=no",
}
HANG_SECONDS = 10


def build_gate(folder):
    """Compiles the library that stops the tool; returns its path."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None or shutil.which("strace") is None:
        sys.exit("a C compiler and strace are needed: run `Scripts/install-dependencies --with-servers`")
    path = pathlib.Path(folder) / "gate.so"
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(GATE_SOURCE), "-ldl", "-pthread"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{GATE_SOURCE.name} does not compile: {done.stderr[-500:]}")
    return path


class Fault:
    """Which call fails, and how. `whole` traces every thread from the gate on; otherwise only the thread that stopped there."""

    def __init__(self, call, error, number, gate, whole=False, path=None):
        self.call = call
        self.error = error
        self.number = number
        self.gate = gate
        self.whole = whole
        self.path = path

    def strace(self, tracee, log):
        scope = ["-f"] if self.whole else []
        only = ["-P", self.path] if self.path else []
        return ["strace", "-qq", "-y", *scope, *only, "-o", str(log), "-e", f"trace={self.call}", "-e",
                f"inject={self.call}:error={self.error}:when={self.number}", "-p", str(tracee)]


class Outcome:
    """How a run ended: `status` is the exit status, negative for a signal, None if the script had to kill the tool."""

    def __init__(self, status, stdout, stderr, injected, seconds):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.injected = injected
        self.seconds = seconds


class Runner:
    def __init__(self, tool, gate, folder):
        self.tool = tool
        self.gate = gate
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)

    def run(self, arguments, fault, output=None):
        """One run. Without an `output` file, the tool's output goes to a file of the runner."""
        began = time.monotonic()
        tracee, log = self.folder / "tracee", self.folder / "strace"
        stdout, stderr = pathlib.Path(output or self.folder / "stdout"), self.folder / "stderr"
        for path in (tracee, log):
            path.unlink(missing_ok=True)
        environment = {**os.environ, **FEW_THREADS, "LD_PRELOAD": str(self.gate), "TORTURE_GATE": fault.gate,
                       "TORTURE_TRACEE": str(tracee)}
        with open(stdout, "wb") as out, open(stderr, "wb") as errors:
            process = subprocess.Popen([str(self.tool), *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                       env=environment)
        strace = None
        status = _stopped_or_ended(process.pid, began + HANG_SECONDS)
        if status is None or os.WIFSTOPPED(status):
            if status is not None:
                strace = self._attach(fault, tracee, log, process.pid)
                os.kill(process.pid, signal.SIGCONT)
            status = _ended(process.pid, time.monotonic() + HANG_SECONDS)
        if status is None:
            process.kill()
            os.waitpid(process.pid, 0)
        if strace is not None:
            strace.wait(HANG_SECONDS)
        process.returncode = code = None if status is None else os.waitstatus_to_exitcode(status)
        # Popen uses None for a process that still runs.
        process.returncode = -signal.SIGKILL if code is None else code
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return Outcome(code, stdout.read_text(errors="replace"), stderr.read_text(errors="replace"),
                       [line for line in lines if "(INJECTED)" in line], time.monotonic() - began)

    def _attach(self, fault, tracee, log, pid):
        thread = tracee.read_text()
        strace = subprocess.Popen(fault.strace(thread, log), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + HANG_SECONDS
        while not _is_traced(pid, thread):
            if strace.poll() is not None or time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"strace cannot attach: {strace.stderr.read()[-300:]}")
            time.sleep(0.001)
        return strace


def _is_traced(pid, thread):
    status = pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text()
    return re.search(r"^TracerPid:\s+0$", status, re.MULTILINE) is None


def _stopped_or_ended(pid, until):
    return _wait(pid, os.WUNTRACED, until)


def _ended(pid, until):
    return _wait(pid, 0, until)


def _wait(pid, options, until):
    """The status of the process; None if the process did not change in time."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG | options)
        if found:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(0.002)
