"""The pieces of work and the limits of their figures."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    path: str
    in_flight: int
    # Bytes of the body after decompression.
    expected: int
    tls: bool = False
    http2: bool = False
    # Over TLS: whether the server resumes sessions.
    resumes: bool = True
    sent: int = None
    gzip: bool = False
    # Whether Bowline offers only the key exchange of elliptic curves, as hyper's version of rustls does.
    classical: bool = False
    # A first guess of the requests per second of a fast client. A short first run then decides how many requests are sent.
    guess: int = 50_000
    # Upper limits of ratios: (client, metric, peer): limit.
    goals: tuple = ()

    @property
    def protocol(self):
        return "HTTP/2" if self.http2 else "HTTP/1.1"

    def url(self, server):
        if not self.tls:
            return server.plain(self.path)
        return server.tls(self.path) if self.resumes else server.strangers(self.path)

    def options(self, server):
        """The options that every client's driver gets."""
        words = ["-c", str(self.in_flight), "--expect", str(self.expected)]
        words += ["--ca", server.authority] if self.tls else []
        words += ["--send", str(self.sent)] if self.sent else []
        return words + (["--gzip"] if self.gzip else []) + (["--h2"] if self.http2 else [])


def _goals(loop=None, default=None, p50=None, p99=None):
    asked = [("loop", "cpu", loop), ("default", "cpu", default), ("loop", "p50", p50), ("loop", "p99", p99)]
    return tuple((variant, metric, peer, limit) for variant, metric, limits in asked if limits
                 for peer, limit in zip(("hyper", "AsyncHTTPClient"), limits))


WORKS = [
    Work("h1-1k-1", "/1k", 1, 1024, guess=15_000, goals=_goals(p50=(1.00, 0.60))),
    Work("h1-1k", "/1k", 64, 1024, goals=_goals(loop=(1.00, 0.35), default=(1.45, 0.48), p99=(1.00, 0.50))),
    Work("h1-1k-1000", "/1k", 1000, 1024),
    Work("h1-tls-1k", "/1k", 64, 1024, tls=True, goals=_goals(loop=(1.00, 0.35))),
    Work("h2-tls-1k", "/1k", 64, 1024, tls=True, http2=True, goals=_goals(loop=(1.20, 0.22))),
    Work("h1-1m", "/1m", 8, 1 << 20, guess=3000, goals=_goals(loop=(1.00, 0.75))),
    Work("h1-tls-1m", "/1m", 8, 1 << 20, tls=True, guess=1000, goals=_goals(loop=(0.90, 0.80))),
    Work("h2-tls-1m", "/1m", 8, 1 << 20, tls=True, http2=True, guess=700, goals=_goals(loop=(1.00, 0.80))),
    Work("post-10k", "/post", 64, 5, sent=10_240, guess=30_000),
    Work("gzip-100k", "/gzip/100k", 16, 100_000, gzip=True, guess=3000),
    Work("churn", "/closing/1k", 16, 1024, guess=8000, goals=_goals(loop=(1.30, 0.45))),
    Work("churn-tls-resumed", "/closing/1k", 16, 1024, tls=True, guess=700),
    Work("churn-tls-full", "/closing/1k", 16, 1024, tls=True, resumes=False, guess=500, goals=_goals(loop=(1.10, 0.65))),
    Work("churn-tls-classical", "/closing/1k", 16, 1024, tls=True, resumes=False, classical=True, guess=500),
]

# Memory per idle connection: plain, over TLS.
IDLE_GOALS = {"hyper": (0.50, 0.90), "AsyncHTTPClient": (0.40, 0.65)}
