import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Calls that the user's own code delays: a deadline, a shutdown or a cancellation ends them all the same.
@Suite("Calls that hang outside the transport", .timeLimit(.minutes(1)))
struct CallLimitTests {
    /// The code in which a call hangs.
    enum Place: String, CaseIterable, Sendable {
        case perCall, perAttempt, afterResponse, tokenSource, authenticator

        func configure(_ configuration: inout ClientConfiguration, _ hang: Hang) {
            switch self {
            case .perCall: configuration.middleware.perCall = [hang]
            case .perAttempt: configuration.middleware.perAttempt = [hang]
            case .afterResponse: configuration.middleware.perCall = [Hang(hang, isAfterResponse: true)]
            case .tokenSource:
                configuration.authentication = BearerAuthentication {
                    try await hang.hang()
                    return BearerToken("t")
                }
            case .authenticator:
                configuration.authentication = HangingAuthenticator(hang: hang)
            }
        }

        /// Whether the service may have seen the request.
        var progress: RequestProgress { self == .afterResponse ? .ambiguous : .neverSent }
    }

    private struct HangingAuthenticator: RequestAuthenticator {
        let hang: Hang

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            try await hang.hang()
        }
    }

    /// Keeps each call until it is cancelled.
    struct Hang: ServiceMiddleware {
        let entered: Gate
        let left: Gate
        let isAfterResponse: Bool

        init() {
            (entered, left, isAfterResponse) = (Gate(), Gate(), false)
        }

        init(_ other: Hang, isAfterResponse: Bool) {
            (entered, left, self.isAfterResponse) = (other.entered, other.left, isAfterResponse)
        }

        func hang() async throws {
            entered.open()
            defer { left.open() }
            try await Gate().wait()
        }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            if isAfterResponse { try await next(request, context: context).body.discard() }
            try await hang()
            return try await next(request, context: context)
        }
    }

    private let stub = StubTransport()
    private let clock = TestClock()
    private let hang = Hang()

    private func client(
        _ place: Place, configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        stub.on(nil, "/a", always: .respond(.ok))
        return try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.useOnly(clock)
            place.configure(&$0, hang)
            configure(&$0)
        }
    }

    @Test(
        "At a shutdown's deadline a call that hangs outside the transport fails with forciblyClosed and is reported",
        .tags(.LC3),
        arguments: Place.allCases)
    func shutdown(place: Place) async throws {
        let client = try client(place)
        let call = Task { try await client.post("/a", body: .text("x")) }
        try await hang.entered.wait()
        async let report = client.shutdown(within: .seconds(5))
        try await ShutdownTests.waitUntil(.draining, client)
        #expect(!hang.left.isOpen)
        try await eventually("the deadline") {
            clock.advance(by: .seconds(5))
            return hang.left.isOpen
        }
        let error = try await serviceError { _ = try await call.value }
        #expect(error.code == .forciblyClosed)
        #expect(error.phase == .pipeline)
        #expect(error.attempts == 1)
        #expect(error.progress == place.progress)
        #expect(error.message.contains("phase pipeline, attempt 1"))
        #expect(await report.forced.map(\.target) == ["/a"])
    }

    @Test(
        "The request's deadline ends a call that hangs outside the transport, with deadlineExceeded",
        arguments: Place.allCases)
    func deadline(place: Place) async throws {
        let client = try client(place) { $0.timeouts.total = .seconds(5) }
        let call = Task { try await client.post("/a", body: .text("x")) }
        try await hang.entered.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .milliseconds(4999))
        #expect(!hang.left.isOpen)
        clock.advance(by: .milliseconds(1))
        let error = try await serviceError { _ = try await call.value }
        #expect(error.code == .deadlineExceeded)
        #expect(error.phase == .pipeline)
        #expect(error.progress == place.progress)
        #expect(hang.left.isOpen || place == .tokenSource || place == .authenticator)
        try await hang.left.wait()
        #expect(clock.sleeperCount == 0)
    }

    @Test("A cancelled call that hangs outside the transport throws CancellationError", arguments: Place.allCases)
    func cancelled(place: Place) async throws {
        let client = try client(place)
        let call = Task { try await client.post("/a", body: .text("x")) }
        try await hang.entered.wait()
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        try await hang.left.wait()
        #expect(await client.shutdown(within: .zero).isClean)
    }

    private struct Fallback: ServiceMiddleware {
        let entered = Gate()

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            entered.open()
            do {
                try await Gate().wait()
            } catch {
                return ServiceResponse(status: .accepted, body: ResponseBody(ByteBuffer(string: "kept")))
            }
            return try await next(request, context: context)
        }
    }

    @Test("A middleware may answer when the deadline cancels it; its answer is the call's outcome")
    func fallback() async throws {
        let fallback = Fallback()
        let client = try client(.perCall) {
            $0.middleware.perCall = [fallback]
            $0.timeouts.total = .seconds(5)
        }
        let call = Task { try await client.get("/a").text() }
        try await fallback.entered.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        #expect(try await call.value == "kept")
    }

    @Test("A call that is in the transport at the deadline fails with the transport's phase and progress")
    func transportFirst() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .nothing.thenStall() }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.middleware.perCall = [Passing()]
                $0.timeouts.total = .milliseconds(50)
            }
            let error = try await serviceError { _ = try await client.get("/a") }
            #expect(error.code == .deadlineExceeded)
            #expect(error.phase == .awaitingHead)
            #expect(error.progress == .ambiguous)
        }
    }

    @Test("The deadline ends a middleware that hangs after the response, without a second of grace")
    func hangsWithResponse() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.total = .seconds(5)
                $0.middleware.perAttempt = [Hang(hang, isAfterResponse: true)]
            }
            let call = Task { try await client.post("/a") }
            try await hang.entered.wait()
            try await clock.waitForSleepers()
            // The clock stops at the deadline: a call that gives the transport more time would sleep on.
            clock.advance(by: .seconds(5))
            try await eventually("the end of the call") { hang.left.isOpen }
            let error = try await serviceError { _ = try await call.value }
            #expect(error.code == .deadlineExceeded)
            #expect(error.phase == .pipeline)
            #expect(error.progress == .ambiguous)
            await client.shutdown(within: .zero)
        }
    }

    private struct Passing: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            try await next(request, context: context)
        }
    }
}
