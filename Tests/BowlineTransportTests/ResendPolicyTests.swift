import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Which requests are sent again")
struct ResendPolicyTests {
    struct Case: CustomStringConvertible, Sendable {
        let progress: RequestProgress
        let wasPooled: Bool
        let method: String
        let isSent: Bool

        var description: String { "\(progress.rawValue), \(wasPooled ? "pooled" : "new"), \(method)" }
    }

    private static func request(
        _ method: String, body: RequestBody = .none, _ change: (inout ServiceRequest) throws -> Void = { _ in }
    ) throws -> PreparedRequest {
        var request = ServiceRequest(method: .init(method) ?? .get, "http://a.example/", body: body)
        try change(&request)
        return try PreparedRequest(
            request, context: RequestContext(), started: MonotonicInstant(nanoseconds: 0), isPooled: true
        )
    }

    private static func closed(
        _ progress: RequestProgress, _ connection: TransportOutcome.Connection = .ordinary
    ) -> TransportOutcome {
        TransportOutcome(.connectionClosed, "closed", progress: progress, connection: connection)
    }

    @Test(
        "neverSent on a pooled connection: any method; refused: any; ambiguous on a pooled one: idempotent ones",
        arguments: [
            Case(progress: .neverSent, wasPooled: true, method: "GET", isSent: true),
            Case(progress: .neverSent, wasPooled: true, method: "POST", isSent: true),
            Case(progress: .neverSent, wasPooled: false, method: "GET", isSent: false),
            Case(progress: .refused, wasPooled: true, method: "POST", isSent: true),
            Case(progress: .refused, wasPooled: false, method: "POST", isSent: true),
            Case(progress: .refused, wasPooled: false, method: "GET", isSent: true),
            Case(progress: .ambiguous, wasPooled: true, method: "GET", isSent: true),
            Case(progress: .ambiguous, wasPooled: true, method: "POST", isSent: false),
            Case(progress: .ambiguous, wasPooled: true, method: "PATCH", isSent: false),
            Case(progress: .ambiguous, wasPooled: false, method: "GET", isSent: false),
            Case(progress: .responseStarted, wasPooled: true, method: "GET", isSent: false),
            Case(progress: .responseStarted, wasPooled: false, method: "GET", isSent: false),
        ]
    )
    func kinds(example: Case) throws {
        var policy = ResendPolicy()
        let request = try Self.request(example.method)
        #expect(!policy.requiresFresh)
        let isSent = policy.claimResend(of: request, after: Self.closed(example.progress), wasPooled: example.wasPooled)
        #expect(isSent == example.isSent)
        // A request that the peer refused may use any connection: no connection was found dead.
        #expect(policy.requiresFresh == (example.isSent && example.progress != .refused))
        let isSentTwice =
            isSent && policy.claimResend(of: request, after: Self.closed(example.progress), wasPooled: true)
        #expect(!isSentTwice, "never two resends")
    }

    @Test("refused by connections that were used up: 100 resends; by others: one")
    func goingAway() throws {
        let request = try Self.request("POST")
        func resends(_ goAway: HTTP2GoAway) -> Int {
            var policy = ResendPolicy()
            let outcome = Self.closed(.refused, .goneAway(isUsedUp: goAway.saysUsedUp))
            var count = 0
            while count < 1000, policy.claimResend(of: request, after: outcome, wasPooled: false) { count += 1 }
            return count
        }
        #expect(resends(HTTP2GoAway(lastID: 1)) == 100)
        #expect(resends(HTTP2GoAway(lastID: 0)) == 1)
        #expect(resends(HTTP2GoAway(lastID: 1, code: .enhanceYourCalm)) == 1)
    }

    @Test("A request that a connection declined asks for another, even without allowsResend, but not forever")
    func declined() throws {
        func leases(hasCarriedOthers: Bool) throws -> (Int, ResendPolicy) {
            var policy = ResendPolicy()
            let request = try Self.request("POST") { $0.options.allowsResend = false }
            let outcome = Self.closed(.neverSent, .declined(hasCarriedOthers: hasCarriedOthers))
            var count = 0
            while count < 1000, policy.claimResend(of: request, after: outcome, wasPooled: false) { count += 1 }
            return (count, policy)
        }
        let (often, policy) = try leases(hasCarriedOthers: true)
        #expect(often == 100)
        #expect(policy.count == 0)
        #expect(!policy.requiresFresh)
        #expect(try leases(hasCarriedOthers: false).0 == 1)
    }

    @Test("A request that may have been processed is not sent again because its resend was refused")
    func refusedAfterAmbiguous() throws {
        var policy = ResendPolicy()
        let request = try Self.request("GET")
        let isSent = policy.claimResend(of: request, after: Self.closed(.ambiguous), wasPooled: true)
        let isSentTwice = policy.claimResend(
            of: request, after: Self.closed(.refused, .goneAway(isUsedUp: true)), wasPooled: false)
        #expect(isSent)
        #expect(!isSentTwice)
        #expect(
            policy.withEarlierProgress(ServiceError(.connectionClosed, "x", progress: .refused)).progress == .ambiguous)
    }

    @Test(
        "GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY are idempotent by themselves, and no other method",
        arguments: [
            ("GET", true), ("HEAD", true), ("OPTIONS", true), ("TRACE", true), ("PUT", true), ("DELETE", true),
            ("QUERY", true), ("POST", false), ("PATCH", false), ("CONNECT", false), ("LOCK", false), ("get", false),
        ]
    )
    func idempotentMethods(method: String, isIdempotent: Bool) throws {
        #expect(try Self.request(method).isIdempotent == isIdempotent)
    }

    @Test("A request that is marked as idempotent, or has an Idempotency-Key, is; a request marked otherwise is not")
    func marks() throws {
        #expect(try Self.request("POST") { $0.options.idempotency = .idempotent }.isIdempotent)
        #expect(try Self.request("POST") { try $0.setField("IDEMPOTENCY-KEY", "1") }.isIdempotent)
        #expect(try !Self.request("PUT") { $0.options.idempotency = .notIdempotent }.isIdempotent)
    }

    @Test("A request that failed for another reason than a closed connection is not sent again")
    func otherFailures() throws {
        for code in [ServiceError.Code.responseHeadTimeout, .bodyIdleTimeout, .requestBodyFailed, .protocolViolation] {
            var policy = ResendPolicy()
            let outcome = TransportOutcome(code, progress: .ambiguous)
            let isSent = try policy.claimResend(of: Self.request("GET"), after: outcome, wasPooled: true)
            #expect(!isSent, "\(code)")
        }
    }

    @Test("a body that cannot be replayed is not sent again, and allowsResend off keeps any request from it")
    func bodies() throws {
        struct Chunks: AsyncSequence, AsyncIteratorProtocol, Sendable {
            func makeAsyncIterator() -> Chunks { self }
            func next() async -> ByteBuffer? { nil }
        }
        for progress in [RequestProgress.neverSent, .refused, .ambiguous] {
            for (body, isReplayable) in [
                (RequestBody.none, true), (.text("x"), true), (.stream(Chunks()), true),
                (.replayable { Chunks() }, true),
                (.stream(Chunks()), false),
            ] {
                let request = try Self.request("PUT", body: body)
                if !isReplayable { request.commitBody(after: 200) }
                var policy = ResendPolicy()
                let isSent = policy.claimResend(of: request, after: Self.closed(progress), wasPooled: true)
                #expect(isSent == isReplayable)
            }
            var policy = ResendPolicy()
            let refusing = try Self.request("GET") { $0.options.allowsResend = false }
            let isSent = policy.claimResend(of: refusing, after: Self.closed(progress), wasPooled: true)
            #expect(!isSent)
        }
    }
}
