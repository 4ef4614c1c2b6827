internal import Bowline
internal import Testing

@testable import BowlineTool

@Suite("JSON lines: keys and their order are a promise")
struct JSONOutputTests {
    static let connection = ConnectionFacts(
        id: 1, isReused: false, requests: 1, peer: "127.0.0.1:80", protocolVersion: .http1_1
    )

    static func outcome(failure: Failure? = nil, hasResponse: Bool = true) -> Outcome {
        var outcome = Outcome(index: 0, url: "http://a.test/")
        if hasResponse {
            var facts = ResponseFacts(connection: connection)
            facts.resends = 1
            facts.requestsSent = 2
            var received = Outcome.Received(ServiceResponse(status: .ok, facts: facts))
            received.bytes = 1109
            received.sha256 = "ab"
            outcome.response = received
        }
        outcome.failure = failure
        outcome.duration = .microseconds(1234)
        return outcome
    }

    @Test("a request that succeeded")
    func success() {
        #expect(
            Self.outcome().json(isVerbose: false)
                == #"{"index":0,"url":"http://a.test/","status":200,"protocol":"HTTP/1.1","redirects":0,"#
                + #""attempts":1,"resends":1,"requestsSent":2,"connection":{"id":1,"reused":false,"requests":1},"bytes":1109,"sha256":"ab","milliseconds":1.234}"#
        )
    }

    @Test("with -v, header and trailer fields are lists of name and value")
    func verbose() {
        var outcome = Self.outcome()
        outcome.response?.headers = [.init(name: "A", value: "1"), .init(name: "a", value: "\"2\"")]
        let text = outcome.json(isVerbose: true)
        #expect(text.hasSuffix(#","milliseconds":1.234,"headers":[["A","1"],["a","\"2\""]],"trailers":[]}"#))
    }

    @Test("A failed request has its error instead of the status")
    func failure() {
        var error = ServiceError(
            .responseHeadTimeout, "no head", progress: .ambiguous, attempts: 1, phase: .awaitingHead
        )
        error.requestsSent = 1
        #expect(
            Self.outcome(failure: Failure(error), hasResponse: false).json(isVerbose: true)
                == #"{"index":0,"url":"http://a.test/","error":{"code":"responseHeadTimeout","progress":"ambiguous","#
                + #""phase":"awaitingHead","message":"no head"},"attempts":1,"resends":0,"requestsSent":1,"milliseconds":1.234}"#
        )
    }

    @Test("A request that failed on a connection has the connection, the attempts and the number of resends")
    func failureOnConnection() {
        var error = ServiceError(
            .connectionClosed, "gone", progress: .ambiguous, attempts: 3, phase: .awaitingHead
        )
        error.resends = 1
        error.requestsSent = 4
        error.connection = ConnectionFacts(
            id: 7, isReused: true, requests: 4, peer: "127.0.0.1:80", protocolVersion: .http2, stream: 9
        )
        let outcome = Self.outcome(failure: Failure(error), hasResponse: false)
        #expect(
            outcome.json(isVerbose: false)
                == #"{"index":0,"url":"http://a.test/","error":{"code":"connectionClosed","progress":"ambiguous","#
                + #""phase":"awaitingHead","message":"gone"},"protocol":"HTTP/2","attempts":3,"resends":1,"#
                + #""requestsSent":4,"connection":{"id":7,"reused":true,"requests":4,"stream":9},"milliseconds":1.234}"#
        )
        let line = outcome.readable(isVerbose: false)
        #expect(line.contains("HTTP/2 on connection 7, request 4"))
        #expect(line.contains("3 attempts"))
        #expect(line.contains("sent again on a new connection"))
        #expect(!line.contains("requests sent"))
    }

    @Test("A connection through a proxy names the proxy; for people, only with -v")
    func proxy() throws {
        var outcome = Self.outcome()
        outcome.response?.connection = ConnectionFacts(
            id: 1, isReused: false, requests: 1, peer: "127.0.0.1:3128", proxy: try Proxy("http://127.0.0.1:3128"),
            protocolVersion: .http2, stream: 1
        )
        let object = #""connection":{"id":1,"reused":false,"requests":1,"stream":1,"proxy":"http://127.0.0.1:3128"},"#
        #expect(outcome.json(isVerbose: false).contains(object))
        #expect(outcome.readable(isVerbose: true).contains("\n       proxy http://127.0.0.1:3128\n"))
        #expect(!outcome.readable(isVerbose: false).contains("proxy"))
    }

    @Test("Redirects, the attempts of the last hop and all sent requests are separate counts")
    func counts() throws {
        var facts = ResponseFacts(connection: Self.connection, attempts: 2)
        facts.redirects = [try ServiceURL("http://a.test/b"), try ServiceURL("http://a.test/c")]
        facts.requestsSent = 5
        var outcome = Outcome(index: 0, url: "http://a.test/")
        outcome.response = Outcome.Received(ServiceResponse(status: .ok, facts: facts))
        let text = outcome.json(isVerbose: false)
        #expect(text.contains(#""redirects":2,"attempts":2,"resends":0,"requestsSent":5,"#))
        #expect(outcome.readable(isVerbose: false).contains("  2 redirects  2 attempts  5 requests sent  "))
    }

    @Test("A cancelled request has no count of attempts")
    func cancelled() {
        let text = Self.outcome(failure: Failure(CancellationError()), hasResponse: false).json(isVerbose: false)
        #expect(!text.contains("attempts"))
        #expect(!text.contains("resends"))
        #expect(!text.contains("connection"))
    }

    @Test("A response whose body failed has both the status and the error")
    func failureAfterHead() {
        let error = ServiceError(.incompleteBody, "cut", progress: .responseStarted, attempts: 1)
        let text = Self.outcome(failure: Failure(error)).json(isVerbose: false)
        #expect(
            text.hasPrefix(
                #"{"index":0,"url":"http://a.test/","status":200,"error":{"code":"incompleteBody","#
                    + #""progress":"responseStarted","message":"cut"},"protocol":"HTTP/1.1","#
            )
        )
    }

    @Test("Cancellations, file errors and unknown errors have their own codes")
    func otherErrors() {
        struct Stranger: Error {}
        #expect(Failure(CancellationError()).code == "cancelled")
        #expect(Failure(FileError("write", path: "/f", number: 28)).code == "fileFailed")
        #expect(Failure(FileError("write", path: "/f", number: 28)).message.hasPrefix("cannot write /f: "))
        #expect(Failure(Stranger()).code == "unexpected")
    }

    @Test("the summary")
    func summary() {
        var tally = Tally()
        tally.record(.success(nanoseconds: 300))
        tally.record(.failure("connectionClosed"))
        #expect(
            Self.summary(tally).json
                == #"{"summary":{"requests":2,"succeeded":1,"failed":1,"seconds":1.500,"p50":0.000,"p99":0.000,"#
                + #""pool":{"opened":3,"closed":{"idleTimeout":2,"stale":1},"idle":0},"#
                + #""shutdown":{"drained":0,"forced":0,"isClean":true,"seconds":0.001}}}"#
        )
    }

    @Test("Requests that a shutdown refused are a separate count, if there are any; without a success there is no p50")
    func refused() {
        var tally = Tally()
        tally.record(.refusal)
        let expected = #"{"requests":1,"succeeded":0,"failed":0,"refused":1,"seconds":1.500,"p50":null,"p99":null,"#
        #expect(Self.summary(tally).json.hasPrefix(#"{"summary":"# + expected))
    }

    static func summary(_ tally: Tally) -> Summary {
        Summary(
            tally: tally, planned: 2, duration: .milliseconds(1500),
            pool: Summary.PoolFigures(opened: 3, closed: ["stale": 1, "idleTimeout": 2], idle: 0),
            shutdown: Summary.ShutdownFigures(drained: 0, forced: 0, isClean: true, duration: .microseconds(600))
        )
    }

    @Test(
        "strings are escaped",
        arguments: [
            ("plain", #""plain""#), ("\"\\", #""\"\\""#), ("\n\r\t", #""\n\r\t""#), ("\u{0}\u{1F}", #""\u0000\u001f""#),
            ("ü\u{1F980}\u{7F}", "\"ü\u{1F980}\u{7F}\""),
        ])
    func escaping(text: String, json: String) {
        #expect(JSONObject.quoted(text) == json)
    }

    @Test(
        "durations have three decimals",
        arguments: [
            (Duration.zero, "0.000", "0.000"), (.nanoseconds(499), "0.000", "0.000"),
            (.nanoseconds(500), "0.001", "0.000"),
            (.milliseconds(12), "12.000", "0.012"), (.seconds(61), "61000.000", "61.000"),
        ])
    func decimals(duration: Duration, milliseconds: String, seconds: String) {
        #expect(DecimalText.milliseconds(duration) == milliseconds)
        #expect(DecimalText.seconds(duration) == seconds)
    }
}
