"""Runs one target under libFuzzer and reads its output."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
# An input that takes this long is slow: the code's work is linear in its input, which is short.
SLOWEST_SECONDS = 10
MEMORY_MIB = 2048
LONGEST_INPUT = 4096
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"\bcov: (\d+) ft: (\d+) corp: (\d+)/(\S+)")
_COUNT = re.compile(r"^#(\d+)\s", re.MULTILINE)
_BROKEN = re.compile(r"^.*?((?:Fatal error: |ERROR: |SUMMARY: ).*)$", re.MULTILINE)


# The smallest target reaches more edges than this with its first input. Code without instrumentation reaches none.
LEAST_EDGES = 20


class Session:
    """The results of fuzzing one target."""

    def __init__(self, target, status, log, found):
        self.target = target
        self.status = status
        self.log = log
        self.found = found
        statistics = {name: int(value) for name, value in _STATISTIC.findall(log)}
        # A run that ends at a failing input prints no statistics. Its last progress line has the count.
        counts = _COUNT.findall(log)
        self.executions = statistics.get("number_of_executed_units", int(counts[-1]) if counts else 0)
        self.per_second = statistics.get("average_exec_per_sec", 0)
        self.peak_mib = statistics.get("peak_rss_mb", 0)
        progress = _PROGRESS.findall(log)
        self.edges, self.features, self.inputs = (progress[-1][:3] if progress else ("0", "0", "0"))

    @property
    def problems(self):
        """The reasons why the run is a failure; empty if it is not."""
        problems = [f"the fuzzer ended with status {self.status}"] if self.status else []
        if self.executions == 0:
            problems.append("nothing was executed")
        elif int(self.edges) < LEAST_EDGES:
            problems.append(f"only {self.edges} edges of the code were seen: it is not instrumented")
        return problems

    @property
    def reasons(self):
        """The lines in which the fuzzer and the code describe the failure."""
        return list(dict.fromkeys(line[:2000] for line in _BROKEN.findall(self.log)))[:4]


def prepare(work):
    """Makes the folders for new inputs; keeps the inputs of earlier runs."""
    (work / "found").mkdir(parents=True, exist_ok=True)
    (work / "corpus").mkdir(parents=True, exist_ok=True)


def run(binary, target, seconds, seed, work):
    """Fuzzes a target, starting from the committed inputs and the inputs of earlier runs."""
    grown = work / "corpus" / target
    grown.mkdir(parents=True, exist_ok=True)
    prefix = work / "found" / f"{target}-"
    before = set(prefix.parent.iterdir())
    command = [
        str(binary), str(grown), str(ROOT / "Fuzz" / "Corpus" / target), f"-max_total_time={seconds}",
        f"-timeout={SLOWEST_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={prefix}", "-print_final_stats=1", "-detect_leaks=0",
    ]
    if seed is not None:
        command.append(f"-seed={seed}")
    dictionary = ROOT / "Fuzz" / "Dictionaries" / f"{target}.dict"
    if dictionary.is_file():
        command.append(f"-dict={dictionary}")
    done = subprocess.run(command, env=_environment(target), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = done.stdout.decode(errors="replace")
    (work / f"{target}.log").write_text(log)
    found = sorted(path for path in set(prefix.parent.iterdir()) - before if path.name.startswith(prefix.name))
    return Session(target, done.returncode, log, found)


def run_all(binary, targets, seconds, seed, work, jobs):
    """Fuzzes all targets, `jobs` at a time, for `seconds` in all. Yields each session as it ends."""
    each = max(1, seconds * jobs // len(targets))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        sessions = [pool.submit(run, binary, target, each, seed, work) for target in targets]
        for session in concurrent.futures.as_completed(sessions):
            yield session.result()


def replay(binary, target, paths):
    """Runs a target on single inputs; returns the exit status."""
    return subprocess.run([str(binary), "-detect_leaks=0", *map(str, paths)], env=_environment(target)).returncode


def merge(binary, target, work):
    """Adds the smallest of the new inputs that reach more of the code to a target's committed inputs."""
    kept = ROOT / "Fuzz" / "Corpus" / target
    before = set(kept.iterdir())
    grown = work / "corpus" / target
    command = [str(binary), "-merge=1", "-detect_leaks=0", f"-max_len={LONGEST_INPUT}", str(kept), str(grown)]
    done = subprocess.run(command, env=_environment(target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode, len(set(kept.iterdir()) - before)


def _environment(target):
    options = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0", "BOWLINE_FUZZ": target}
    # Swift's crash handler would take the signal by which the fuzzer detects a crash.
    options["SWIFT_BACKTRACE"] = "enable=no"
    # Without a symbolizer a report contains only addresses.
    symbolizer = shutil.which("llvm-symbolizer")
    if symbolizer:
        options["ASAN_SYMBOLIZER_PATH"] = symbolizer
    return {**os.environ, **options}
