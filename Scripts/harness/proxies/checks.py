"""The checks of one proxy. Each returns its problems and the words for its cell of the table."""

import collections
import time

from harness import tool
from harness.http2 import ledger
from harness.http2.recorder import ADDED_BY_PROXIES
from harness.proxies import calls
from harness.proxies.origins import NAME, SLOW
from harness.proxies.programs import SECRET

# What a proxy may add to a request, or change in it.
_ADDED = ADDED_BY_PROXIES | {"via", "x-forwarded-for", "cache-control"}
# Of a request that a proxy without a tunnel refused, `refused` is all that can be said.
_NOT_SENT = {True: "neverSent", False: "refused"}
_FIELDS = [item for name, value in ledger.STAMP for item in ("-H", f"{name}: {value}")]
WORKERS = 8


class Checks:
    def __init__(self, path, proxy, origins, setting, requests, kills):
        self.path = path
        self.proxy = proxy
        self.origins = origins
        self.setting = setting
        # For each kind of request and each method.
        self.requests = requests
        self.kills = kills

    @property
    def all(self):
        """For each row its words, a check, and the reason why the proxy has no such row."""
        first, *others = self.origins.kinds
        proxy = self.proxy
        no_credentials = None if proxy.asks_for_credentials else "asks for none"
        return [
            (f"{first}", self.requests_over(first), None),
            *((f"{kind} to the origin", self.requests_over(kind), None) for kind in others),
            ("wrong credentials", self.wrong_credentials, no_credentials),
            ("no credentials", self.no_credentials, no_credentials),
            ("a rule of the proxy refuses", self.rule, None if proxy.has_rules else "has no rules"),
            ("the origin does not listen", self.closed_port, None),
            ("the proxy's certificate is not trusted", self.untrusted, None if self._has_tls else "no TLS to the proxy"),
            ("the client resolves names", self.names_resolved_here, "the proxy always does" if proxy.is_http else None),
            ("the environment names the proxy", self.environment, None),
            ("no look-up, no connection to the origin", self.calls, None),
            ("killed under load: GETs lost / POSTs executed twice / POSTs failed", self.killed, None),
        ]

    # How the tool runs.

    def _request(self, *arguments, proxy=None, environment=None):
        arguments = ["request", "--json", *self._through(proxy), *arguments]
        return self._checked(tool.run(self.path, arguments, 120, environment))

    def _through(self, proxy=None):
        """The options for the proxy. For a proxy with TLS they include the authority: the origins have the same one."""
        return ["--proxy", proxy or self.proxy.url(), *(["--cacert", self.origins.authority] if self._has_tls else [])]

    @property
    def _has_tls(self):
        return self.proxy.scheme == "https"

    @staticmethod
    def _checked(run):
        if SECRET in run.stdout or SECRET in run.stderr:
            raise RuntimeError("the tool's output contains the proxy's password")
        return run

    def _options(self, kind):
        """Without the authority if `_through` gives it: the tool takes the option once."""
        return kind.options if not self._has_tls else [
            word for word in kind.options if word != "--cacert" and word != self.origins.authority]

    def _connections(self, run, expected=None):
        """The problems of the proxies that the connections name."""
        expected = expected or self.proxy.shown
        shown = {str(line.get("connection", {}).get("proxy")) for line in run.lines}
        return [] if shown == {expected} else [f"connections through {sorted(shown)}, not {expected}"]

    def _failed(self, run, code, progress, words):
        """The problems of a run of one request that had to fail."""
        error = run.errors()[0] if run.errors() else {}
        found = (run.status, error.get("code"), error.get("progress"))
        if found == (1, code, progress) and self.proxy.shown in error["message"]:
            return []
        return [f"{words}: exit status {run.status}, {run.statuses()}, {error or run.tail()}; expected {code}, {progress}"]

    def _nothing_arrived(self, before):
        count = self.origins.arrivals() - before
        return [f"{count} requests arrived at the origin"] if count else []

    # The rows.

    def requests_over(self, kind):
        """Each request has its own target, large fields and a body. All must arrive as they were sent."""
        def check():
            count = 50
            before = len(kind.origin.arrivals)
            urls = [f"{kind.base}{target}" for target in ledger.targets(count)]
            run = self._request(*self._options(kind), "-c", str(WORKERS), *_FIELDS, "-H", "Cookie: a=1; b=2", "-X", "PUT",
                                "--data-file", str(self.origins.folder / "body"), *urls)
            arrivals = kind.origin.arrivals[before:]
            problems = self._connections(run)
            if run.status != 0 or run.summary.get("succeeded") != count or set(run.statuses()) != {200}:
                problems.append(f"{run.summary.get('succeeded')} of {count} succeeded: {run.errors()[:1]} {run.tail()}")
            protocols = {line.get("protocol") for line in run.lines}
            if not protocols <= kind.protocols:
                problems.append(f"the responses are {sorted(map(str, protocols))}")
            if len(arrivals) != count:
                problems.append(f"{len(arrivals)} requests arrived, not {count}")
            problems += ledger.problems(run.arguments, run.lines, arrivals, added=_ADDED, sees_streams=False)
            names = {name for arrival in arrivals for name, _ in arrival.fields}
            problems += [f"the origin got the field {name}" for name in names if name.startswith("proxy-")]
            shown = tool.run(self.path, ["request", "-v", *self._through(), *self._options(kind), urls[0]])
            if f"\n       proxy {self.proxy.shown}\n" not in self._checked(shown).stdout:
                problems.append(f"-v does not show the proxy: {shown.stdout[:200]}")
            return problems, "ok"
        return check

    def _refused(self, url, words):
        """The problems of requests with credentials that the proxy does not accept, and the words for the cell."""
        before = self.origins.arrivals()
        problems, note = [], ""
        for kind in (self.origins.without_tls, self.origins.with_tls):
            run = self._request(*self._options(kind), kind.base + "/refused", proxy=url)
            has_tunnel = not self.proxy.is_http or kind.base.startswith("https:")
            status = self.proxy.status_of_wrong_credentials if words == "wrong credentials" else 407
            if status == 401 and not has_tunnel:
                # Not a status of a proxy that wants credentials (RFC 9110 §11.7): without a tunnel it could be the origin's.
                note = "; 401 without a tunnel"
                if run.statuses() != [401]:
                    problems.append(f"{kind}: {run.statuses()}, {run.errors()}; expected the status 401")
                continue
            problems += self._failed(run, "proxyAuthenticationRequired", _NOT_SENT[has_tunnel], kind.name)
        return problems + self._nothing_arrived(before), "`proxyAuthenticationRequired`" + note

    def wrong_credentials(self):
        return self._refused(self.proxy.url(password="wrong"), "wrong credentials")

    def no_credentials(self):
        return self._refused(self.proxy.url(has_credentials=False), "no credentials")

    def rule(self):
        return self._no_tunnel(self.setting.forbidden_port)

    def closed_port(self):
        return self._no_tunnel(self.origins.closed_port)

    def _no_tunnel(self, port):
        before = self.origins.arrivals()
        run = self._request(*self._options(self.origins.with_tls), f"https://{NAME}:{port}/")
        problems = self._failed(run, "proxyFailed", "neverSent", f"port {port}")
        return problems + self._nothing_arrived(before), "`proxyFailed`"

    def untrusted(self):
        before = self.origins.arrivals()
        arguments = ["request", "--json", "--proxy", self.proxy.url(), self.origins.without_tls.base + "/untrusted"]
        run = self._checked(tool.run(self.path, arguments))
        problems = self._failed(run, "proxyFailed", "neverSent", "untrusted")
        return problems + self._nothing_arrived(before), "`proxyFailed`"

    def names_resolved_here(self):
        """Here the tool itself has the resolver that knows the origin's name, and the proxy gets an address."""
        port = self.origins.plain.port
        before = {host: self.proxy.count_of_connections_to(host, port) for host in ("127.0.0.1", NAME)}
        run = self._request(self.origins.without_tls.base + "/here", proxy=self.proxy.url(scheme="socks5"),
                            environment={"LD_PRELOAD": self.setting.resolver})
        problems = self._connections(run, self.proxy.shown_as("socks5"))
        if run.statuses() != [200]:
            problems.append(f"{run.statuses()}, {run.errors()}")
        for host, count in before.items():
            after = self.proxy.count_of_connections_to(host, port)
            if count is not None and after - count != (0 if host == NAME else 1):
                problems.append(f"the proxy was asked {after - count} times for {host}")
        return problems, "ok"

    def environment(self):
        """The variables of both schemes, or the one for all; `--no-proxy` overrides them."""
        names = ("http_proxy", "https_proxy") if self.proxy.is_http else ("ALL_PROXY",)
        environment = {name: "" for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                                             "ALL_PROXY", "NO_PROXY")}
        environment |= {name: self.proxy.url() for name in names}
        problems = []
        for kind in (self.origins.without_tls, self.origins.with_tls):
            authority = ["--cacert", self.origins.authority]
            arguments = ["request", "--json", *authority, kind.base + "/environment"]
            run = self._checked(tool.run(self.path, arguments, 60, environment))
            problems += self._connections(run)
            if run.statuses() != [200]:
                problems.append(f"{kind}: {run.statuses()}, {run.errors()}")
            direct = self._checked(tool.run(self.path, [*arguments, "--no-proxy"], 60, {
                **environment, "LD_PRELOAD": self.setting.resolver}))
            if direct.statuses() != [200] or "proxy" in direct.lines[0]["connection"]:
                problems.append(f"--no-proxy, {kind}: {direct.lines}")
        return problems, "ok"

    def calls(self):
        """The proxy's URL has an address, and the origin's has a name that only the proxy resolves."""
        problems = []
        expected = {("127.0.0.1", self.proxy.port)}
        for kind in (self.origins.without_tls, self.origins.with_http2):
            arguments = ["request", "--json", *self._through(), *self._options(kind), kind.base + "/calls"]
            run, found = calls.record(self.path, arguments, self.proxy.folder)
            if run.statuses() != [200]:
                problems.append(f"{kind}: {run.statuses()}, {run.errors()} {run.tail()}")
            if found.connected != expected:
                problems.append(f"{kind}: connected to {sorted(map(str, found.connected))}, not only to the proxy")
            if found.look_ups:
                problems.append(f"{kind}: looked up a name: {found.look_ups}")
        return problems, "ok"

    def killed(self):
        """GETs and POSTs with and without a tunnel run at once while the proxy is killed and started again."""
        loads = [Load(self, kind, method) for kind in (self.origins.without_tls, self.origins.with_http2)
                 for method in ("GET", "POST")]
        try:
            for number in range(self.kills):
                part = self.requests * (number + 1) // (self.kills + 1)
                # When the fastest load has come this far, the others still have requests in flight.
                self._wait(lambda: any(load.ended() >= part for load in loads), f"{part} requests did not end")
                self.proxy.kill()
                self.proxy.start()
            for load in loads:
                load.finish()
        finally:
            for load in loads:
                load.stop()
        problems = [problem for load in loads for problem in load.problems()]
        lost = sum(load.lost for load in loads if load.method == "GET")
        twice = sum(load.twice for load in loads if load.method == "POST")
        failed = sum(load.failed for load in loads if load.method == "POST")
        print(f"      killed {self.kills} times; " + "; ".join(map(str, loads)), flush=True)
        return problems, f"{lost} / {twice} / {failed} of {2 * self.requests:,}"

    @staticmethod
    def _wait(condition, words, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{words} within {seconds} s")
            time.sleep(0.01)


class Load:
    """A run of the tool while the proxy is killed: many requests of one method, each with its own target."""

    def __init__(self, checks, kind, method):
        self.checks = checks
        self.kind = kind
        self.method = method
        self.run = None
        self.lost = self.twice = self.failed = self.again = 0
        targets = [f"{SLOW}/{checks.proxy.port}/{method}/{index}" for index in range(checks.requests)]
        self.index_of = {target: index for index, target in enumerate(targets)}
        body = ["-X", "POST", "-d", "x"] if method == "POST" else []
        self.process = tool.Process(checks.path, [
            "request", "--json", *checks._through(), *checks._options(kind), "-c", str(WORKERS), "--max-attempts", "15", *body,
            *(kind.base + target for target in targets)])

    def ended(self):
        return len(self.process.ended_requests())

    def finish(self):
        self.run = Checks._checked(self.process.wait(120))

    def stop(self):
        if self.run is None:
            self.process.send(9)
            self.process.wait(10)

    def problems(self):
        """Compares the tool's lines with the requests that arrived whole at the origin."""
        time.sleep(0.1)
        arrived = collections.Counter(self.index_of[arrival.pseudo(":path")] for arrival in self.kind.origin.arrivals
                                      if arrival.ended and arrival.pseudo(":path") in self.index_of)
        failures = [line for line in self.run.lines if line.get("status") != 200 or "error" in line]
        self.failed = len(failures)
        self.again = sum(line.get("requestsSent", 1) > 1 for line in self.run.lines)
        self.twice = sum(count > 1 for count in arrived.values())
        found = []
        if len(self.run.lines) != self.checks.requests:
            found.append(f"{len(self.run.lines)} of {self.checks.requests} requests ended")
        missing = [line["index"] for line in self.run.lines if line.get("status") == 200 and not arrived[line["index"]]]
        if missing:
            found.append(f"{len(missing)} requests have a response and did not arrive, such as {missing[0]}")
        if self.method == "GET":
            self.lost = len(failures)
            found += [f"a GET was lost: {line.get('error', line)}" for line in failures[:2]]
        else:
            # The client must say of a POST that may have been executed that its outcome is unknown.
            known = [line for line in failures
                     if line.get("error", {}).get("progress") not in ("ambiguous", "responseStarted")]
            found += [f"a POST failed without need: {line.get('error', line)}" for line in known[:2]]
            found += [f"the origin executed {self.twice} POSTs twice"] if self.twice else []
        if not self.again and not self.failed:
            found.append("no kill hit a request")
        return [f"{self.kind}, {self.method}: {problem}" for problem in found]

    def __str__(self):
        return f"{self.method} {self.kind}: {self.failed} failed, {self.again} sent again, {self.twice} arrived twice"
