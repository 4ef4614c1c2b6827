import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Changes by middleware are not validated again: no value of theirs traps.
@Suite("Options that middleware sets", .timeLimit(.minutes(1)))
struct UncheckedOptionsTests {
    private static let badNumbers: [Int] = [.min, -1, 0, 1, .max]
    private static let badSpans: [Duration] = [
        .seconds(Int64.min / 2), .seconds(-1), .zero, .nanoseconds(1), .seconds(Int64.max / 2),
    ]

    private struct Setting: ServiceMiddleware {
        let set: @Sendable (inout ServiceRequest, inout RequestContext) -> Void

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var (request, context) = (request, context)
            set(&request, &context)
            return try await next(request, context: context)
        }
    }

    /// Sends requests to a service that redirects once, then is busy, then answers with a coded body of over a
    /// megabyte.
    private func run(_ set: @escaping @Sendable (inout ServiceRequest, inout RequestContext) -> Void) async throws {
        let body = try await Self.coded.value
        try await withLoopbackServer { server in
            server.route(.post, "/a", always: .reply(307, fields: [.location: "/b"]))
            server.route(.post, "/b") { request in
                request.number < 3 ? .reply(503) : .reply(200, fields: [.contentEncoding: "gzip"], body: body)
            }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.middleware.perCall = [Setting(set: set)]
                $0.random = { 0 }
            }
            var request = ServiceRequest.post("/a", body: .text("x"))
            request.options.idempotency = .idempotent
            do {
                let response = try await client.send(request)
                for try await chunk in response.body { #expect(chunk.readableBytes > 0) }
            } catch {
                #expect(error is ServiceError)
            }
            await client.shutdown(within: .seconds(1))
        }
    }

    /// Two megabytes of zeros, as our own client compresses them.
    private static let coded = Task<ByteBuffer, any Error> {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                var request = ServiceRequest.post("/", body: .bytes(ByteBuffer(repeating: 0, count: 2 << 20)))
                request.options.compression = .gzip
                _ = try await client.send(request)
            }
            return server.requests.first?.body ?? ByteBuffer()
        }
    }

    @Test("Numbers out of range in retry, redirect, decompression and the attempt do not trap", arguments: badNumbers)
    func numbers(number: Int) async throws {
        try await run { request, context in
            var options = request.options
            var budget = RetryBudgetOptions()
            budget.perSecond = number
            budget.ratio = Double(number)
            options.retry.maximumAttempts = number
            options.retry.budget = .limited(budget)
            request.options = options
            context.attempt = number
        }
        try await run { request, _ in
            var decompression = DecompressionOverrides()
            decompression.maximumRatio = .limited(number)
            request.options.decompression = decompression
        }
        try await run { request, _ in
            var decompression = DecompressionOverrides()
            decompression.maximumBytes = .limited(number)
            decompression.maximumLayers = number == .min ? 1 : number
            request.options.decompression = decompression
        }
        try await run { request, _ in
            var redirect = RedirectOverrides()
            redirect.maximum = number
            request.options.redirect = redirect
        }
    }

    @Test("Numbers of seconds that no duration can represent become the nearest limit, and do not trap")
    func seconds() async throws {
        let limits: [(Double, Duration)] = [
            (.nan, .zero), (.infinity, .seconds(3_155_760_000)), (-.infinity, .seconds(-3_155_760_000)),
            (1e300, .seconds(3_155_760_000)), (-1, .seconds(-1)), (0.25, .milliseconds(250)),
        ]
        for (number, limit) in limits {
            #expect(TimeLimit.seconds(number) == .limited(limit))
            try await run { request, _ in request.options.timeouts.attempt = .seconds(number) }
        }
    }

    @Test("Durations out of range in timeouts, retry and continueTimeout do not trap", arguments: badSpans)
    func spans(span: Duration) async throws {
        try await run { request, _ in
            var budget = RetryBudgetOptions()
            budget.window = span
            request.options.retry.backoff = .exponential(base: span, maximum: span)
            request.options.retry.maximumRetryAfter = span
            request.options.retry.budget = .limited(budget)
        }
        try await run { request, _ in request.options.continueTimeout = span }
        for change: @Sendable (inout Timeouts) -> Void in [
            { $0.poolAcquire = span }, { $0.connect = span }, { $0.responseHead = span }, { $0.bodyIdle = span },
            { $0.attempt = span },
        ] {
            try await run { _, context in change(&context.timeouts) }
        }
        try await run { _, context in context.deadline = .after(span) }
    }
}
