import BowlineCore
import BowlineTesting
import Logging
import Testing

@testable import BowlineCall

@Suite("Log lines about retries", .timeLimit(.minutes(1)))
struct RetryLogTests {
    private let log = CollectedLog()

    /// The lines about retries, without those about each attempt.
    private var lines: [CollectedLog.Line] { log.lines.filter { !$0.message.hasPrefix("attempt ") } }

    /// Sends one request through retries that write to `log`, and moves the clock over every wait.
    private func send(
        _ harness: RetryHarness, _ request: ServiceRequest? = nil, level: Logger.Level = .info
    ) async throws -> Result<ServiceResponse, any Error> {
        var road = harness.road
        road.logger = log.logger(level)
        return try await harness.send(request, through: road.over(harness.stub))
    }

    /// Sends a request that succeeds at the third attempt. Returns the three lines about its retries.
    private func logOfTwoRetries() async throws -> [CollectedLog.Line] {
        let harness = RetryHarness { $0.maximumAttempts = 4 }
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .respond(.serviceUnavailable, fields: [.retryAfter: "2", .server: "canary"]),
                .fail(.connectionClosed, progress: .ambiguous, message: "canary"), .respond(.ok),
            ])
        var request = try harness.request()
        request.options.targetTemplate = "things/{id}"
        let response = try await send(harness, request).get()
        #expect(response.status == .ok)
        try #require(lines.count == 3)
        return lines
    }

    @Test("Each retry is logged at info with cause, attempt and wait, and so is the call that then succeeds")
    func retries() async throws {
        let lines = try await logOfTwoRetries()
        #expect(lines.map(\.level) == [.info, .info, .info])
        let messages = lines.map(\.message)
        #expect(messages[0].hasPrefix("retrying: 503, attempt 2 of 4, after 2."))
        #expect(messages[1].hasPrefix("retrying: connectionClosed, attempt 3 of 4, after "))
        #expect(messages[2] == "succeeded after 2 retries: 200")
        #expect(!"\(lines)".contains("canary"))
    }

    @Test("The log's metadata names the request, the cause, the attempt and the number of retries")
    func metadata() async throws {
        let lines = try await logOfTwoRetries()
        #expect(lines[0].metadata["bowline.retry.cause"] == "503")
        #expect(lines[0].metadata["bowline.attempt"] == "1")
        #expect(lines[2].metadata["bowline.attempt"] == "3")
        #expect(lines[2].metadata["bowline.retry.count"] == "2")
        for line in lines {
            #expect(line.metadata["http.request.method"] == "GET")
            #expect(line.metadata["server.address"] == "http://stub.invalid:80")
            #expect(line.metadata["bowline.target"] == "things/{id}")
        }
    }

    @Test("A call that succeeds at once, and a call that fails permanently, log nothing about retries")
    func silence() async throws {
        let harness = RetryHarness { $0.maximumAttempts = 4 }
        harness.stub.on(.get, "/x", inOrder: [.respond(.ok), .respond(.notFound)])
        _ = try await send(harness).get()
        _ = try await send(harness).get()
        harness.stub.on(.post, "/x", inOrder: [.fail(.connectionClosed, progress: .ambiguous)])
        _ = try await send(harness, harness.request(.post))
        #expect(lines.isEmpty)
    }

    @Test("A logger above info gets no line for a retry, and a logger above warning gets no line for a refusal")
    func levels() async throws {
        let harness = RetryHarness { $0.maximumAttempts = 2 }
        harness.stub.on(.get, "/x", inOrder: [.respond(.serviceUnavailable), .respond(.ok)])
        _ = try await send(harness, level: .warning).get()
        harness.stub.on(.get, "/x", inOrder: [.fail(.poolSaturated, progress: .neverSent)])
        _ = try await send(harness, level: .error)
        #expect(lines.isEmpty)
    }

    @Test("A refusal is a warning: one line for each kind and origin in ten seconds, with the number of lines omitted")
    func refusals() async throws {
        let harness = RetryHarness {
            $0.maximumAttempts = 2
            $0.budget?.ratio = 0
            $0.budget?.perSecond = 0
        }
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        for _ in 1...3 { _ = try await send(harness).get() }
        harness.stub.on(.get, "/x", always: .fail(.poolSaturated, progress: .neverSent))
        _ = try await send(harness)
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        harness.clock.advance(by: RefusalLog.interval)
        _ = try await send(harness).get()
        #expect(lines.map(\.level) == [.warning, .warning, .warning])
        #expect(
            lines.map(\.message) == [
                "not retrying: the origin's retry budget is empty",
                "refused: too many requests wait for a connection (pool.maximumWaiting)",
                "not retrying: the origin's retry budget is empty; 2 more since the last line",
            ])
    }

    @Test("The state that bounds the lines is bounded, and separates origins")
    func bounded() throws {
        let refusals = RefusalLog()
        let now = MonotonicInstant(nanoseconds: 0)
        for port in 1...1000 {
            let origin = try ServiceURL("http://stub.invalid:\(port)").origin
            #expect(refusals.unsaid("empty", of: origin, now: now) == 0)
            #expect(refusals.unsaid("empty", of: origin, now: now) == nil)
            #expect(refusals.unsaid("full", of: origin, now: now) == 0)
        }
        #expect(refusals.count <= 256)
    }

    @Test("A second sending after a 401 that the budget refuses is logged at warning, like a retry")
    func budgetAfterRefusedCredentials() async throws {
        struct Key: RequestAuthenticator {
            func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
                request.fields[.authorization] = "Key canary"
            }

            func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { true }
        }
        let harness = RetryHarness {
            $0.budget?.ratio = 0
            $0.budget?.perSecond = 0
        }
        var road = harness.road
        road.retry.statuses = []
        road.authenticator = Key()
        road.logger = log.logger(.info)
        let pipeline = try road.over(harness.stub)
        harness.stub.on(.get, "/x", always: .respond(.unauthorized))
        let response = try await harness.send(through: pipeline).get()
        #expect(response.status == .unauthorized)
        #expect(harness.stub.calls.count == 1)
        #expect(lines.map(\.level) == [.warning])
        #expect(lines.first?.message == "not retrying: the origin's retry budget is empty")
        #expect(lines.first?.metadata["bowline.retry.cause"] == "401")
        #expect(lines.first?.metadata["http.request.method"] == "GET")
        #expect(!"\(lines)".contains("canary"))
    }
}
