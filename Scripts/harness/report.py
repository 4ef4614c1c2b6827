"""Prints one line per check, with its figures and PASS or FAIL, and returns an exit status at the end."""

import time
import traceback


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.began = time.monotonic()

    def record(self, name, problems, figures=""):
        """Prints the outcome of one check. The check passes if there are no problems."""
        verdict = "FAIL" if problems else "PASS"
        print(f"{verdict}  {name}" + (f": {figures}" if figures else ""), flush=True)
        for problem in problems:
            print(f"      {problem}", flush=True)
        if problems:
            self.failed.append(name)
        else:
            self.passed += 1

    def run(self, name, check):
        """Runs a check that returns (problems, figures). An exception in the check is a failure and does not end the run."""
        try:
            problems, figures = check()
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            problems, figures = [f"{type(error).__name__}: {error} (line {last.lineno} of {last.name})"], ""
        self.record(name, problems, figures)

    def close(self):
        """Prints the total and returns the exit status."""
        seconds = time.monotonic() - self.began
        total = self.passed + len(self.failed)
        if total == 0:
            print("no check was run")
            return 1
        print(f"{self.passed} of {total} checks passed in {seconds:.0f} s")
        return 1 if self.failed else 0
