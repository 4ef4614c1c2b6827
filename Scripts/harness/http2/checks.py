"""Scenarios: what an HTTP/2 peer may do, and how the client must react."""

import random
import time

from harness.http2 import broken_rules, peer as p, tolerated
from harness.http2.scenarios import (ONE, POST, Runner, all_answered as _all_answered, failed as _failed,
                                     large as _large)


def checks(path, certificates=None):
    """Name and check of every scenario. `certificates`: a folder with the peer's certificates, for TLS."""
    scenario = Runner(path, certificates).scenario
    yield from _going_away(scenario)
    yield from _refusals(scenario)
    yield from _limits(scenario)
    yield from _messages(scenario)
    yield from _malformed(scenario)
    yield from _windows(scenario)
    yield from _floods(scenario)
    yield from _ends(scenario)
    yield from _resets(scenario)
    yield from broken_rules.checks(scenario)
    yield from tolerated.checks(scenario)


def _going_away(scenario):
    def above_last(c):
        c.handshake()
        if c.number == 1:
            first, _ = sorted([c.request(), c.request()])
            c.go_away(first)
            c.answer(first)
        c.serve()
    yield scenario("H2a POST above GOAWAY's last id is sent again, below it finishes", above_last, *POST,
                   "-n", "2", "-c", "2", *ONE, expect=_all_answered(2, connections=2, requests=3))

    def twice(c):
        c.handshake()
        if c.number == 1:
            first, _ = sorted([c.request(), c.request()])
            c.go_away(2**31 - 1)
            time.sleep(0.1)
            c.go_away(first)
            c.answer(first)
        c.serve()
    yield scenario("H2c both steps of a graceful GOAWAY", twice, *POST, "-n", "2", "-c", "2", *ONE,
                   expect=_all_answered(2, connections=2, requests=3))

    def after_each(c):
        c.handshake()
        stream = c.request()
        c.go_away(stream)
        c.answer(stream)
    yield scenario("GOAWAY with each response: nothing fails", after_each, "-n", "20", *ONE,
                   expect=_all_answered(20, connections=20, requests=20))

    def before_settings(c):
        if c.number == 1:
            c.go_away(0)
            c.drain()
        c.handshake().serve()
    yield scenario("H2d GOAWAY before SETTINGS fails the dial", before_settings, *ONE,
                   expect=lambda run, log: [] if run.errors() and run.errors()[0]["progress"] == "neverSent"
                   else ["not neverSent"])

    def storm(c):
        c.handshake()
        c.request()
        c.go_away(0, p.ENHANCE_YOUR_CALM)
    yield scenario("H2b a storm of GOAWAY with errors makes few dials, and says why", storm, *ONE,
                   expect=lambda run, log: _failed("connectionClosed", "refused", "ENHANCE_YOUR_CALM")(run, log)
                   + ([] if log.connections <= 2 else [f"{log.connections} dials"]))

    def error_below(c):
        c.handshake()
        stream = c.request()
        c.go_away(stream, p.INTERNAL_ERROR)
        c.cut()
    yield scenario("H2b GOAWAY with an error, at a request it may have processed: not sent again", error_below, *POST,
                   *ONE, expect=_failed("connectionClosed", "ambiguous", "INTERNAL_ERROR", requests=1))


def _refusals(scenario):
    def once(c):
        c.handshake()
        if c.number == 1:
            c.reset(c.request(), p.REFUSED_STREAM)
        c.serve()
    yield scenario("H2e REFUSED_STREAM: a POST is sent again", once, *POST, *ONE,
                   expect=_all_answered(1, requests=2))

    def always(c):
        c.handshake()
        while True:
            c.reset(c.request(30), p.REFUSED_STREAM)
    yield scenario("H2e REFUSED_STREAM for ever: two tries, then the error", always, *ONE,
                   expect=_failed("connectionClosed", "refused", "REFUSED_STREAM", requests=2))

    def other(c):
        c.handshake()
        c.reset(c.request(), p.INTERNAL_ERROR)
        c.serve()
    yield scenario("H2e another RST_STREAM: a POST is not sent again", other, *POST, "--max-attempts", "3",
                   expect=_failed("streamReset", "ambiguous", "INTERNAL_ERROR", requests=1))
    yield scenario("H2e another RST_STREAM: a GET is tried again on the same connection", other,
                   "--max-attempts", "3", expect=_all_answered(1, connections=1, requests=2))

    def calm(c):
        c.handshake()
        while True:
            c.reset(c.request(30), p.HTTP_1_1_REQUIRED)
    yield scenario("H2f HTTP_1_1_REQUIRED is an error that says so", calm, *POST,
                   expect=_failed("streamReset", "ambiguous", "HTTP_1_1_REQUIRED", requests=1))


def _limits(scenario):
    def one_stream(c):
        c.handshake(max_concurrent_streams=1)
        while True:
            stream = c.request(30)
            open_now = [s for s in c.requests if s > stream]
            if open_now:
                c.log.problems.append("a second stream was opened")
            time.sleep(0.01)
            if c.read(0.01) and any(s > stream for s in c.requests):
                c.log.problems.append("a second stream was opened")
            c.answer(stream)
    yield scenario("H2g one stream at a time: requests wait, on at most 4 connections", one_stream, "-n", "30",
                   "-c", "10", *ONE, expect=lambda run, log: _all_answered(30)(run, log)
                   + ([] if log.connections <= 4 else [f"{log.connections} connections"]))

    def none_at_first(c):
        c.handshake(max_concurrent_streams=0)
        if c.read(0.6) is not None:
            while c.read(0.6) is not None:
                pass
        if c.requests:
            c.log.problems.append("a stream was opened against the limit")
        c.send(p.SettingsFrame(0, settings={p.SettingsFrame.MAX_CONCURRENT_STREAMS: 5}))
        c.serve()
    yield scenario("H2g no stream is allowed, then some are", none_at_first, "-n", "5", "-c", "5", *ONE,
                   expect=_all_answered(5))

    def lowered(c):
        c.handshake(max_concurrent_streams=10)
        if c.number > 1:
            c.serve()
        streams = [c.request() for _ in range(4)]
        c.send(p.SettingsFrame(0, settings={p.SettingsFrame.MAX_CONCURRENT_STREAMS: 1}))
        c.read(0.2)
        for stream in streams:
            c.answer(stream)
        c.serve()
    yield scenario("H2g the limit is lowered below the open streams", lowered, "-n", "20", "-c", "4", *ONE,
                   expect=_all_answered(20))

    def burst(c):
        c.handshake()
        c.serve()
    yield scenario("PO12 a cold burst of 100 makes one dial", burst, "-n", "100", "-c", "100", *ONE,
                   expect=_all_answered(100, connections=1))


    def patient(c):
        c.handshake()
        streams = [c.request() for _ in range(100)]
        while c.read(0.2) is not None:
            pass
        if len(c.requests) > 100:
            c.log.problems.append(f"{len(c.requests)} streams")
        for stream in streams:
            c.answer(stream)
        c.serve()
    yield scenario("H2g a peer without a limit gets 100 streams, and another connection the rest", patient,
                   "-n", "200", "-c", "200", *ONE, expect=_all_answered(200, connections=2, requests=200))


def _messages(scenario):
    def trailers(c):
        c.handshake()
        stream = c.request()
        c.head(stream, (":status", 200))
        c.data(stream, b"abc")
        c.head(stream, ("x-sum", "1"), end=True)
    yield scenario("H2s trailers are delivered", trailers, "-v", *ONE,
                   expect=lambda run, log: _all_answered(1)(run, log)
                   + ([] if run.lines[0].get("trailers") == [["x-sum", "1"]] else [str(run.lines[0])]))

    def informational(c):
        c.handshake()
        stream = c.request()
        for _ in range(3):
            c.head(stream, (":status", 103), ("link", "</a>"))
        c.answer(stream)
    yield scenario("H2r informational responses, then the final one", informational, *ONE, expect=_all_answered(1))

    def many_informational(c):
        c.handshake()
        stream = c.request()
        for _ in range(17):
            c.head(stream, (":status", 103))
        c.answer(stream)
    yield scenario("H2r 17 informational responses are too many", many_informational, *ONE,
                   expect=_failed("responseLimitExceeded", "responseStarted"))

    def data_after_103(c):
        c.handshake()
        stream = c.request()
        c.head(stream, (":status", 103))
        c.data(stream, b"x", end=True)
    yield scenario("H2r a body after an informational response is an error", data_after_103, *ONE,
                   expect=_failed("protocolViolation", "responseStarted"))

    def early(code):
        def script(c):
            c.handshake(initial_window_size=10)
            c.credits = False
            while not c.requests:
                c.read()
            stream = next(iter(c.requests))
            c.answer(stream)
            c.reset(stream, code)
            c.serve()
        return script
    yield scenario("H2v RST_STREAM (NO_ERROR) after a whole response is a success", early(p.NO_ERROR), *_large(200000), *ONE,
                   expect=_all_answered(1, connections=1))

    def refuses_body(c):
        c.handshake(initial_window_size=10)
        c.credits = False
        while not c.requests:
            c.read()
        c.head(1, (":status", 413), end=True)
        end = time.monotonic() + 2
        while 1 not in c.resets and time.monotonic() < end:
            c.read(0.1)
        if c.resets.get(1) != p.NO_ERROR:
            c.log.problems.append(f"the rest of the request was not reset: {c.resets}")
        # The second request of the run.
        while len(c.requests) < 2:
            c.read()
        c.head(3, (":status", 413), end=True)
    yield scenario("H2v an answer that refuses the body stops it; the connection goes on", refuses_body,
                   *_large(200000), "-n", "2", *ONE,
                   expect=lambda run, log: [] if run.statuses() == [413, 413] and log.connections == 1
                   else [f"{run.statuses()}, {log.connections} connections"])

    def continues(c):
        c.handshake()
        while not c.requests:
            c.read()
        while c.read(0.2) is not None:
            pass
        if c.bodies.get(1):
            c.log.problems.append("the body came before the peer had asked for it")
        c.head(1, (":status", 100))
        c.answer(c.request())
    yield scenario("Expect: 100-continue waits for the peer", continues, "-H", "Expect: 100-continue",
                   *_large(100000), *ONE, expect=_all_answered(1, connections=1))

    def expectation_fails(c):
        c.handshake()
        while not c.requests:
            c.read()
        # Not 417: after that status the client sends the request again without Expect.
        c.head(1, (":status", 403), end=True)
        while c.read(0.2) is not None:
            pass
        if c.bodies.get(1):
            c.log.problems.append("the body came though the peer had refused it")
    yield scenario("Expect: 100-continue that is refused sends no body", expectation_fails,
                   "-H", "Expect: 100-continue", *_large(100000), *ONE,
                   expect=lambda run, log: [] if run.statuses() == [403] else [f"{run.statuses()}"])

    def mid_body(c):
        c.handshake()
        stream, other = c.request(), c.request()
        c.head(stream, (":status", 200))
        c.data(stream, b"abc")
        c.reset(stream, p.INTERNAL_ERROR)
        c.answer(other)
    yield scenario("H2h RST_STREAM within a body fails it and no other", mid_body, "-n", "2", "-c", "2", *ONE,
                   expect=lambda run, log: [] if [e["code"] for e in run.errors()] == ["incompleteBody"]
                   and len(run.lines) == 2 else ["not one incompleteBody"])

    for name, length in (("less", 10), ("more", 2)):
        def wrong(c, length=length):
            c.handshake()
            stream = c.request()
            c.head(stream, (":status", 200), ("content-length", length))
            c.data(stream, b"abc", end=True)
            c.serve()
        yield scenario(f"H2i {name} body than content-length says", wrong, *ONE,
                       expect=_failed("incompleteBody", "responseStarted", "content-length"))

    def head(c):
        c.handshake()
        c.head(c.request(), (":status", 200), ("content-length", 5000), end=True)
    yield scenario("H2i HEAD has a length and no body", head, "-X", "HEAD", *ONE, expect=_all_answered(1))

    def request_fields(c):
        c.handshake()
        stream = c.request()
        fields = c.requests[stream].fields
        names = [name for name, _ in fields]
        if names != [n.lower() for n in names]:
            c.log.problems.append(f"names {names}")
        if {"connection", "host", "keep-alive", "upgrade"} & set(names):
            c.log.problems.append(f"connection fields {names}")
        if [v for n, v in fields if n == "cookie"] != ["a=1", "b=2"]:
            c.log.problems.append(f"cookies {fields}")
        c.answer(stream)
    yield scenario("request fields: lower case, cookies split, none of a connection's", request_fields,
                   "-H", "Cookie: a=1; b=2", "-H", "Connection: close", "-H", "X-Upper: y", *ONE,
                   expect=_all_answered(1))

    def small_header_list(c):
        c.handshake(max_header_list_size=300)
        c.serve()
    yield scenario("fields larger than the peer accepts are refused before they are sent", small_header_list,
                   "-H", "X-Long: " + "a" * 400, *ONE,
                   expect=_failed("invalidRequest", "neverSent", requests=0))

    def small_frames(c):
        c.handshake()
        c.serve()

    def large_frames(c):
        c.handshake(max_frame_size=100000)
        c.serve()

    def whole(run, log):
        sizes = [len(arrival.pseudo("x-large") or "") for arrival in log.requests]
        return _all_answered(5, connections=1)(run, log) + ([] if sizes == [60000] * 5 else [f"sizes {sizes}"])
    for what, script in (("go out in several", small_frames), ("go out in one where the peer takes it", large_frames)):
        yield scenario(f"fields larger than a frame of 16 KiB {what}", script, "-H", "X-Large: " + "~" * 60000, *ONE,
                       "-n", "5", expect=whole)


def _malformed(scenario):
    cases = {
        "no :status": [("server", "x")],
        "two :status": [(":status", "200"), (":status", "200")],
        ":status 20": [(":status", "20")],
        ":status after a field": [("server", "x"), (":status", "200")],
        "an unknown pseudo-field": [(":status", "200"), (":path", "/")],
        "an upper-case name": [(":status", "200"), ("Server", "x")],
        "connection": [(":status", "200"), ("connection", "close")],
        "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
        "a line feed in a value": [(":status", "200"), ("x", "a\nb")],
        "a NUL in a value": [(":status", "200"), ("x", "a\0b")],
        "101": [(":status", "101")],
        "two lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    }
    for name, fields in cases.items():
        def script(c, fields=fields):
            c.handshake()
            c.head(c.request(), *fields, end=False)
            c.answer(c.request())
        yield scenario(f"H2q {name}: the stream is reset, the connection goes on", script, "-n", "2", *ONE,
                       expect=lambda run, log: [] if [e["code"] for e in run.errors()] == ["protocolViolation"]
                       and log.connections == 1 and log.resets[:1] and log.resets[0][2] == p.PROTOCOL_ERROR
                       else [f"resets {log.resets}, connections {log.connections}"])

    def push(c):
        c.handshake()
        stream = c.request()
        promised = c.encoder.encode([(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")])
        c.frame(5, 4, stream, (2).to_bytes(4, "big") + promised)
    yield scenario("H2t PUSH_PROMISE ends the connection", push, *ONE,
                   expect=lambda run, log: [] if run.errors() and log.goaways and log.goaways[0][1] == p.PROTOCOL_ERROR
                   else [f"GOAWAY {log.goaways}"])

    def not_http2(c):
        c.raw(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    yield scenario("H2u a peer that does not speak HTTP/2", not_http2, *ONE,
                   expect=_failed("protocolViolation", "neverSent"))

    def silent(c):
        c.drain(20)
    yield scenario("H2z SETTINGS that never come are a connect timeout", silent, "--connect-timeout", "0.5", *ONE,
                   expect=_failed("connectTimeout", "neverSent", within=3))

    for name, value in (("0", 0), ("100", 100), ("2^24", 1 << 24)):
        def frame_size(c, value=value):
            c.handshake()
            c.request()
            c.frame(4, 0, 0, (5).to_bytes(2, "big") + value.to_bytes(4, "big"))
        yield scenario(f"H2m MAX_FRAME_SIZE {name} ends the connection", frame_size, *ONE,
                       expect=_failed("protocolViolation", "ambiguous"))


def _windows(scenario):
    def zero(c):
        c.handshake(initial_window_size=0)
        c.credits = False
        c.drain(20)
    yield scenario("H2k a window of zero for ever: bodyIdle, and the stream is reset", zero, *_large(100000),
                   "--body-idle-timeout", "0.5", *ONE,
                   expect=_failed("bodyIdleTimeout", "ambiguous", resets=[p.CANCEL], within=3))

    yield scenario("H2k a window of zero for ever and a small body: bodyIdle as well", zero, *POST,
                   "--body-idle-timeout", "0.5", *ONE,
                   expect=_failed("bodyIdleTimeout", "ambiguous", resets=[p.CANCEL], within=3))

    def changing(c):
        c.handshake(initial_window_size=1000)
        c.credits = False
        while sum(len(b) for b in c.bodies.values()) < 1000:
            c.read()
        stream = next(iter(c.requests))
        c.send(p.SettingsFrame(0, settings={p.SettingsFrame.INITIAL_WINDOW_SIZE: 10}))
        c.read(0.2)
        before = len(c.bodies[stream])
        c.send(p.SettingsFrame(0, settings={p.SettingsFrame.INITIAL_WINDOW_SIZE: 60000}))
        c.request()
        if before != 1000:
            c.log.problems.append(f"{before} bytes against the window")
        c.answer(stream)
    yield scenario("H2m INITIAL_WINDOW_SIZE down and up within a body", changing, *_large(50000), *ONE,
                   expect=_all_answered(1))

    def overflow(c):
        c.handshake()
        c.request()
        update = p.WindowUpdateFrame(0)
        update.window_increment = 2**31 - 1
        c.send(update)
    yield scenario("H2l WINDOW_UPDATE beyond 2^31-1 ends the connection", overflow, *ONE,
                   expect=lambda run, log: [] if run.errors() and log.goaways and log.goaways[0][1] == 3
                   else [f"GOAWAY {log.goaways}"])

    def stream_overflow(c):
        c.handshake()
        stream = c.request()
        update = p.WindowUpdateFrame(stream)
        update.window_increment = 2**31 - 1
        c.send(update)
        c.answer(stream)
        c.serve()
    yield scenario("H2l WINDOW_UPDATE beyond 2^31-1 on a stream resets it", stream_overflow, "-n", "2", *ONE,
                   expect=lambda run, log: [] if len(run.errors()) <= 1 and log.connections == 1 else ["not one"])

    def increment_zero(c):
        c.handshake()
        c.request()
        c.frame(8, 0, 0, bytes(4))
    yield scenario("H2l an increment of 0 ends the connection", increment_zero, *ONE,
                   expect=lambda run, log: [] if run.errors() and log.goaways else [f"GOAWAY {log.goaways}"])


def _floods(scenario):
    def flood(make, count=200000):
        def script(c):
            c.handshake()
            stream = c.request()
            if c.number > 1:
                c.answer(stream)
            make_frame = make(c, stream)
            for _ in range(count // 1000):
                c.raw(make_frame * 1000)
            c.drain(5)
        return script

    def calm(run, log, rule="§10.5"):
        problems = [] if run.errors() else ["no error"]
        problems += [f"the message does not say what it was: {error['message']}" for error in run.errors()
                     if error["code"] != "protocolViolation" or f"(RFC 9113 {rule}, ENHANCE_YOUR_CALM)" not in error["message"]]
        if [code for _, code in log.goaways] != [p.ENHANCE_YOUR_CALM]:
            problems.append(f"GOAWAY {log.goaways}")
        if run.peak_mib > 150:
            problems.append(f"{run.peak_mib:.0f} MiB")
        if run.seconds > 10:
            problems.append("took too long")
        return problems

    def settings(c, stream):
        return bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

    def pings(c, stream):
        return bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"12345678"

    def empty_data(c, stream):
        c.head(stream, (":status", 200))
        return p.DataFrame(stream, b"").serialize()

    def priority(c, stream):
        return bytes([0, 0, 5, 2, 0]) + stream.to_bytes(4, "big") + bytes([0, 0, 0, 0, 1])

    def empty_padded_data(c, stream):
        c.head(stream, (":status", 200))
        return p.framed(0, 8, stream, b"\x01\x00")

    def answers_to_pings(c, stream):
        return p.framed(6, 1, 0, b"12345678")

    def unknown(c, stream):
        return p.framed(99, 0, stream, b"")

    def goaways(c, stream):
        return p.framed(7, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4))

    def updates(c, stream):
        return p.framed(8, 0, 0, (1).to_bytes(4, "big"))

    def stream_updates(c, stream):
        return p.framed(8, 0, stream, (1).to_bytes(4, "big"))

    def resets(c, stream):
        """RST_STREAM on another stream than the waiting request's."""
        c.answer(stream)
        c.request()
        return p.framed(3, 0, stream, (2).to_bytes(4, "big"))

    def late_heads(c, stream):
        """A head on a stream that the peer has reset."""
        c.reset(stream, p.CANCEL)
        c.request()
        return p.framed(1, 4, stream, b"\x88")

    for name, make in (("SETTINGS", settings), ("PING", pings), ("empty DATA", empty_data), ("PRIORITY", priority),
                       ("DATA with nothing but padding", empty_padded_data), ("answers to no PING", answers_to_pings),
                       ("unknown frames", unknown), ("GOAWAY", goaways), ("WINDOW_UPDATE of 1", updates),
                       ("WINDOW_UPDATE of 1 on a stream", stream_updates)):
        yield scenario(f"H2o a flood of {name} ends the connection", flood(make), *POST, *ONE, expect=calm)

    yield scenario("H2o a flood of RST_STREAM on a stream that has ended ends the connection", flood(resets), *POST, "-n", "2",
                   *ONE, expect=lambda run, log: calm(run, log)
                   + ([] if run.statuses() == [200, None] else [f"{run.statuses()}"]))

    def calm_behind_reset(run, log):
        reset = run.lines[0].get("error", {})
        run.lines = run.lines[1:]
        return calm(run, log) + ([] if reset.get("code") == "streamReset" else [f"{reset}"])
    yield scenario("H2o a flood of HEADERS on a stream that was reset ends the connection", flood(late_heads), *POST, "-n", "2",
                   *ONE, expect=calm_behind_reset)

    def continuation(c):
        c.handshake()
        stream = c.request()
        block = c.encoder.encode([(":status", "200")])
        c.frame(1, 0, stream, block)
        for _ in range(100000):
            c.frame(9, 0, stream, b"")
    yield scenario("H2p a flood of CONTINUATION ends the connection", continuation, *POST, *ONE, expect=calm)

    def bomb(c):
        c.handshake()
        stream = c.request()
        fields = [(":status", "200"), ("x-bomb", "b" * 4000)]
        block = c.encoder.encode(fields) + b"\xbe" * 12000
        c.frame(1, 4, stream, block)
        c.drain(5)
    yield scenario("H2p an HPACK bomb ends the connection", bomb, *POST, *ONE,
                   expect=lambda run, log: calm(run, log, rule="§10.5.1"))

    def large(c):
        c.handshake()
        stream = c.request()
        c.answer(stream, 200, b"ok", ("set-cookie", "c" * 12000), ("x-a", "a" * 12000), ("x-b", "b" * 12000))
    yield scenario("H2p 36 KB of fields are fine", large, *ONE, expect=_all_answered(1))


def _ends(scenario):
    def cut(c):
        c.handshake()
        for _ in range(100):
            c.request()
        c.cut()
    yield scenario("H2x a connection that ends under 100 POSTs: all of them end, within a second", cut, *POST,
                   "-n", "100", "-c", "100", *ONE,
                   expect=_failed("connectionClosed", "ambiguous", requests=100, within=1))

    def cut_reused(c):
        c.handshake()
        if c.number == 1:
            c.serve(1)
            for _ in range(20):
                c.request()
            c.cut()
        c.serve()
    yield scenario("RT2 a reused connection that ends under 20 GETs: they are sent again, on one new one", cut_reused,
                   "-n", "21", "-c", "20", *ONE,
                   # A request that learns of the end after the new connection is there dials its own connection.
                   expect=lambda run, log: ([] if len(run.errors()) <= 1 and log.connections in (2, 3)
                                            else [f"{log.connections} connections"]))

    def timeout(c):
        c.handshake()
        first = c.request()
        end = time.monotonic() + 3
        while first not in c.resets and time.monotonic() < end:
            try:
                c.answer(c.request(timeout=0.1))
            except TimeoutError:
                pass
        c.serve()
    yield scenario("TO8 a timeout resets the stream and leaves the connection", timeout, "-n", "4", "-c", "2",
                   "--head-timeout", "0.5", *ONE,
                   # The peer answered the other requests meanwhile, so the client does not doubt the connection.
                   expect=lambda run, log: ([] if log.connections == 1 and len(run.errors()) == 1
                   and not any(code for _, code in log.goaways)
                                            and [code for *_, code in log.resets] == [p.CANCEL]
                                            else [f"{log.connections} connections, resets {log.resets}"]))

    def dead(c):
        c.handshake()
        c.answers_pings = False
        while True:
            c.read(30)
    yield scenario("drain: GOAWAY, then the streams end, then the connection", lambda c: (c.handshake(), c.request(),
                   time.sleep(0.5), c.answer(1), c.drain()), "--shutdown-after", "0.2", *ONE,
                   expect=lambda run, log: _all_answered(1)(run, log)
                   + ([] if [code for _, code in log.goaways] == [0] else [f"GOAWAY {log.goaways}"]))
    yield scenario("drain that runs out of time resets what is left", dead, "--shutdown-after", "0.2", "--drain", "0.3",
                   *ONE, expect=_failed("forciblyClosed", "ambiguous", resets=[p.CANCEL]))


def _resets(scenario):
    def late(c):
        c.handshake()
        stream = c.request()
        # This is a sign of life: the client does not doubt the connection after the timeout and sends the second request on it.
        c.send(p.PingFrame(opaque_data=b"12345678"))
        while stream not in c.resets:
            c.read(2)
        c.head(stream, (":status", 200))
        # More bytes than the connection's window: the client must give the window back although it drops these bytes.
        credit = 16 << 20
        for _ in range(2000):
            if credit < 16384:
                while (frame := c.read(2)) is not None:
                    if isinstance(frame, p.WindowUpdateFrame) and frame.stream_id == 0:
                        credit += frame.window_increment
                        break
                else:
                    c.log.problems.append("the connection's window was not given back")
                    return
            c.data(stream, b"x" * 16384)
            credit -= 16384
        c.serve()
    # The stream's own window is 1 MiB. More bytes on a reset stream are a mistake of the peer, but harmless.
    yield scenario("H2w late frames of a reset stream are let go, and given back to the window", late, "-n", "2",
                   "--head-timeout", "0.3", *ONE,
                   expect=lambda run, log: [] if log.connections == 1 and len(run.errors()) == 1
                   else [f"{log.connections} connections"])

    def places(c):
        c.handshake(max_concurrent_streams=2)
        c.answers_pings = False
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            c.read(0.1)
        if len(c.requests) > 2:
            c.log.problems.append(f"{len(c.requests)} streams were opened, and no PING was answered")
        if len(c.resets) == 2 and not c.pings:
            c.log.problems.append("no PING after resets")
        for data in c.pings:
            answer = p.PingFrame(0, opaque_data=data)
            answer.flags.add("ACK")
            c.send(answer)
        c.answers_pings = True
        for stream in c.requests:
            if stream not in c.resets:
                c._taken = getattr(c, "_taken", set()) | {stream}
                c.answer(stream)
        c._taken = getattr(c, "_taken", set()) | set(c.resets)
        c.serve()
    yield scenario("streams that were reset keep their places until a PING is answered", places, "-n", "24", "-c", "12",
                   "--head-timeout", "0.3", *ONE,
                   expect=lambda run, log: [] if len(run.lines) == 24
                   # Each of the four silent connections is doubted and may be replaced once.
                   and 4 <= log.connections <= 8
                   else [f"{len(run.lines)} ended, {log.connections} connections"])

    seed = random.randrange(1 << 32)

    def churn(c):
        chance = random.Random(seed * 1000 + c.number)
        c.handshake(max_concurrent_streams=chance.choice([1, 5, 100]))
        last = 2**31 - 1
        while True:
            stream = c.request(60)
            if stream > last:
                continue
            kind = chance.choice(["ok"] * 12 + ["body", "slow", "cancel", "refuse", "away", "refuse-away", "kill",
                                                "silent", "ping"])
            if kind == "ok":
                c.answer(stream)
            elif kind == "body":
                c.head(stream, (":status", 200))
                c.data(stream, b"abc")
                c.reset(stream, p.INTERNAL_ERROR)
            elif kind == "slow":
                c.head(stream, (":status", 200), ("content-length", 2))
                c.data(stream, b"o")
                c.read(0.02)
                c.data(stream, b"k", end=True)
            elif kind == "cancel":
                c.reset(stream, p.CANCEL)
            elif kind == "refuse":
                c.reset(stream, p.REFUSED_STREAM)
            elif kind == "away":
                last = min(last, max(c.requests))
                c.go_away(last)
                c.answer(stream)
            elif kind == "refuse-away":
                last = min(last, stream)
                c.go_away(last)
                c.answer(stream)
            elif kind == "kill":
                c.cut()
            elif kind == "ping":
                c.send(p.PingFrame(0, opaque_data=b"12345678"))
                c.answer(stream)

    def settled(run, log):
        problems = [] if len(run.lines) == 600 else [f"{len(run.lines)} of 600 ended, seed {seed}"]
        known = {"connectionClosed", "streamReset", "incompleteBody", "responseHeadTimeout", "bodyIdleTimeout"}
        odd = {e["code"] for e in run.errors()} - known
        if odd:
            problems.append(f"{[e for e in run.errors() if e['code'] in odd][:2]}, seed {seed}")
        if run.summary.get("shutdown", {}).get("isClean") is not True:
            problems.append(f"the shutdown was not clean, seed {seed}")
        return problems
    yield scenario(f"H2y churn (seed {seed}): every request ends", churn, "-n", "600", "-c", "30",
                   "--head-timeout", "0.5", "--max-attempts", "2", expect=settled, seconds=100)
