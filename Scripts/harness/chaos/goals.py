"""The goals of `make chaos`. They are ratios and shares, so that a busy machine does not change them much."""

from harness.chaos.clients import CALL_SECONDS, HEDGE_SECONDS

# The retry budget: a fifth of the requests, and ten for each second.
BUDGET_SHARE, BUDGET_PER_SECOND = 0.2, 10
FAILED_GETS = 0.001
FAILED_POSTS = 0.05
# With one bad server, 99 % of the GETs take at most this many times as long as with healthy servers, and a hedge's delay. POSTs are
# not hedged, so there is no such goal for them. A machine that is busy with other things may add its lateness, once in the service and once
# in the client.
P99_RATIO = 2


def check(outcomes, phases, schedule, report):
    by_name = [phase.name for phase in phases]
    for outcome in outcomes:
        name = outcome.client.name
        report.record(f"{name}: every call is reported, and the calls began at their pace",
                      outcome.problems[:5] + lateness(outcome, phases, schedule), f"{outcome.seconds:.1f} s")
        if not outcome.rows:
            continue
        if outcome.client.is_ours:
            twice = sum(row.posts_twice for row in outcome.rows)
            report.record(f"{name}: no POST is executed twice", [f"{twice} POSTs were executed twice"] if twice else [])
        if outcome.client.balances:
            balanced(outcome, by_name, schedule, report)
        if not outcome.client.is_ours:
            real(outcome, by_name, report)


def lateness(outcome, phases, schedule):
    """A client that falls behind would be measured with less load."""
    planned = schedule.first_call(len(phases)) / schedule.pace
    if outcome.rows and outcome.seconds > planned + CALL_SECONDS + 1:
        return [f"the calls took {outcome.seconds:.1f} s, planned were {planned:.1f} s"]
    return []


def balanced(outcome, phases, schedule, report):
    """The goals for balancing with hedges: a bad server costs no call, little time and little load."""
    name = outcome.client.name
    healthy = max(outcome.rows[0].p99, outcome.rows[-1].p99)
    for phase, row in zip(phases, outcome.rows):
        allowed = max(1, FAILED_GETS * row.gets)
        problems = [f"{row.failed_gets} of {row.gets} GETs failed"] if row.failed_gets > allowed else []
        allowed_posts = max(2, FAILED_POSTS * row.posts)
        if row.failed_posts > allowed_posts:
            problems.append(f"{row.failed_posts} of {row.posts} POSTs failed")
        limit = P99_RATIO * healthy + 1000 * HEDGE_SECONDS + 2 * row.lateness
        if row.p99 > limit:
            problems.append(f"the p99 of the GETs is {row.p99:.0f} ms, above {limit:.0f} ms")
        most = row.calls * (1 + BUDGET_SHARE) + BUDGET_PER_SECOND * schedule.phase
        if row.requests > most:
            problems.append(f"the servers got {row.requests} requests for {row.calls} calls, more than {most:.0f}")
        report.record(f"{name}, {phase}: calls succeed, in bounded time, with bounded load", problems,
                      f"{row.failed_gets} GETs and {row.failed_posts} POSTs failed, p99 {row.p99:.0f} ms (at most {limit:.0f}), "
                      f"{row.requests / row.calls:.2f} requests per call")


def real(outcome, phases, report):
    """The faults were real: the client without balancing and hedges felt them."""
    rows = dict(zip(phases, outcome.rows))
    healthy = outcome.rows[0].p99
    problems = [f"{phase}: p99 {rows[phase].p99:.0f} ms, with healthy servers {healthy:.0f} ms"
                for phase in ("one stopped (SIGSTOP)", "one ten times slower") if rows[phase].p99 < 3 * healthy]
    if outcome.answered["503"] == 0:
        problems.append("no request was answered with 503")
    report.record(f"{outcome.client.name}: the faults were real", problems)
