public import BowlineCore
internal import NIOCore

/// A transport without a network. It answers from a table of routes, and fails requests that match no route.
///
/// Use it to test middleware and typed clients. To test sockets and the reuse of connections, use ``LoopbackServer``.
///
/// Time passes on the client's clock, so a `TestClock` controls it. The request's deadline and `timeouts.attempt`,
/// `.responseHead` and `.bodyIdle` end a request with the same errors as over a connection. An answer takes the time of
/// its gate, its pause and its closure. An answer without them is available at once.
///
/// ```swift
/// let stub = StubTransport()
/// stub.on(.get, "/users/{id}") { call in call.path.hasSuffix("42") ? .respond(body: json) : .respond(.notFound) }
/// stub.on(.post, "/users", inOrder: [.fail(.connectionClosed, progress: .ambiguous), .respond(.created)])
/// …
/// try stub.verify()
/// ```
/// If several routes match, the route that was added last answers.
public final class StubTransport: ServiceTransport {
    private struct State: Sendable {
        var routes: [StubRoute] = []
        var calls: [StubbedCall] = []
        var unmatched: [String] = []
        var isDraining = false
    }

    /// How many bytes of a one-shot body are kept for another attempt.
    private static let replayLimit = 65536

    private let state = Waitable(State())
    private let waits = StubWaits()

    /// Makes a transport without routes.
    public init() {}

    /// Calls a closure to answer all requests with this method and path.
    ///
    /// - Parameters:
    ///   - method: The method; nil: any.
    ///   - path: A path or an absolute URL. In a path, a segment in braces matches any segment that is not empty
    ///     (`/users/{id}`). The query is compared only if the route has one.
    ///   - answer: Returns the answer to the request. `send` throws the errors that it throws. It may wait; the
    ///     request's limits apply meanwhile.
    public func on(
        _ method: HTTPRequest.Method?,
        _ path: String,
        _ answer: @escaping @Sendable (_ call: StubbedCall) async throws -> StubAnswer
    ) {
        add(StubRoute(method, path, .always(.respond(with: answer))))
    }

    /// Gives this answer to all requests with this method and path.
    public func on(_ method: HTTPRequest.Method?, _ path: String, always answer: StubAnswer) {
        add(StubRoute(method, path, .always(answer)))
    }

    /// Gives these answers, in order, to requests with this method and path.
    ///
    /// - Parameters:
    ///   - method: The method; nil: any.
    ///   - path: A path, which may have `{…}` segments, or an absolute URL.
    ///   - answers: The answers in order.
    ///   - repeatsLast: Whether the last answer is repeated; false: further requests fail. Default false.
    public func on(
        _ method: HTTPRequest.Method?, _ path: String, inOrder answers: [StubAnswer], repeatsLast: Bool = false
    ) {
        add(StubRoute(method, path, .inOrder(answers, repeatsLast: repeatsLast)))
    }

    private func add(_ route: StubRoute) {
        state.withLock { $0.routes.append(route) }
    }

    /// The requests received, in order, including failed requests and requests that matched no route.
    ///
    /// A request is added when its body has been read, before the waits of its answer begin. Requests after
    /// ``close()``, and requests with a limit that had already passed, are not included.
    public var calls: [StubbedCall] { state.withLock { $0.calls } }

    /// The routes that no request has matched, and the routes with answers left.
    public var unusedRoutes: [String] { state.withLock { $0.routes.compactMap(\.unused) } }

    /// Requests that matched no route, as `GET /path`.
    public var unmatchedRequests: [String] { state.withLock { $0.unmatched } }

    /// Whether ``beginDrain()`` was called.
    public var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { waits.isClosed }

    /// Checks that every route was used completely and every request matched a route.
    ///
    /// - Throws: `ServiceError` with code `stubMismatch`, which lists the unused routes and the unmatched requests.
    public func verify() throws {
        let (unused, unmatched) = state.withLock { ($0.routes.compactMap(\.unused), $0.unmatched) }
        guard !unused.isEmpty || !unmatched.isEmpty else { return }
        var parts: [String] = []
        if !unused.isEmpty { parts.append("unused routes: \(unused.joined(separator: ", "))") }
        if !unmatched.isEmpty { parts.append("requests without a route: \(unmatched.joined(separator: ", "))") }
        throw ServiceError(.stubMismatch, parts.joined(separator: "; "))
    }

    /// Waits until at least `count` requests have been received.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForCalls(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await state.wait(
            for: "\(count) calls", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.calls.count)" }, until: { $0.calls.count >= count }
        )
    }

    public func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try Task.checkCancellation()
        let url = try request.url ?? ServiceURL("http://stub.invalid").appending(request.reference)
        let exchange = StubExchange(context: context, origin: url.origin, waits: waits)
        if let limit = exchange.headLimit(), exchange.hasPassed(limit) {
            throw exchange.failure(limit, phase: .pipeline, progress: .neverSent)
        }
        do {
            let response = try await answer(request, url, exchange)
            context.call.enter(response.body.isInMemory ? .pipeline : .receivingBody, attempt: context.attempt)
            return response
        } catch {
            context.call.enter(.pipeline, attempt: context.attempt)
            throw error
        }
    }

    private func answer(
        _ request: ServiceRequest, _ url: ServiceURL, _ exchange: StubExchange
    ) async throws -> ServiceResponse {
        let context = exchange.context
        var call = StubbedCall(request: request, context: context, path: url.path, query: url.query)
        let answer = try self.answer(to: call, url)
        let isSent = answer?.readsBody ?? false
        if isSent {
            do {
                (call.body, call.trailers) = try await Self.read(request, exchange)
            } catch {
                record(call)
                throw error
            }
        }
        record(call)
        guard let answer else {
            throw ServiceError(.noStubbedRoute, "no route is stubbed for \(request.method) \(url.path)")
        }
        let stage = isSent ? StubExchange.Stage.awaitingHead : .connecting
        context.call.enter(stage.phase, attempt: context.attempt)
        let limit = exchange.headLimit(sent: isSent ? context.clock.now : nil)
        var response = try await self.response(of: answer, to: call, until: limit, stage, exchange)
        request.body.commit()
        response.facts.attempts = max(response.facts.attempts, context.attempt)
        if !response.body.isInMemory, let source = response.body.source {
            var body = ResponseBody(source: StubBodySource(source, exchange))
            body.decoding = response.body.decoding
            response.body = body
        }
        return response
    }

    /// Waits for the gates and pauses of the answer, then makes the response.
    private func response(
        of answer: StubAnswer, to call: StubbedCall, until limit: StubExchange.Limit?, _ stage: StubExchange.Stage,
        _ exchange: StubExchange
    ) async throws -> ServiceResponse {
        var answer = answer
        while true {
            for wait in answer.waits { try await exchange.wait(for: wait, until: limit, stage) }
            switch answer.outcome {
            case .ready(let make): return try make()
            case .made(let make): answer = try await exchange.run(until: limit, stage) { try await make(call) }
            }
        }
    }

    /// Reads the request's body. Applies the limits if the body is a sequence or a closure makes its trailers.
    static func read(_ request: ServiceRequest, _ exchange: StubExchange) async throws -> (ByteBuffer, HTTPFields?) {
        let (body, onProgress) = (request.body, request.ownOptions?.value.onUploadProgress)
        guard body.isSequence || body.makeTrailers != nil else {
            return try await read(body, onProgress: onProgress)
        }
        exchange.context.call.enter(.sending, attempt: exchange.context.attempt)
        return try await exchange.run(until: exchange.headLimit(), .sendingBody) {
            try await read(body, onProgress: onProgress)
        }
    }

    public func beginDrain() {
        state.withLock { $0.isDraining = true }
    }

    @discardableResult
    public func close() async -> Int {
        waits.close()
        return 0
    }

    /// - Returns: the answer; nil if no route matches, or the route has no answer left.
    private func answer(to call: StubbedCall, _ url: ServiceURL) throws -> StubAnswer? {
        let name = "\(call.method) \(url.path)"
        guard !isClosed else { throw Self.closed(progress: .neverSent) }
        return state.withLock { state in
            guard let index = state.routes.lastIndex(where: { $0.matches(call.method, url) }) else {
                state.unmatched.append(name)
                return nil
            }
            guard let answer = state.routes[index].next() else {
                state.unmatched.append("\(name) (all answers were given)")
                return nil
            }
            return answer
        }
    }

    private func record(_ call: StubbedCall) {
        state.withLock { $0.calls.append(call) }
    }

    static func closed(progress: RequestProgress) -> ServiceError {
        ServiceError(.forciblyClosed, "the stub transport was closed", progress: progress)
    }

    private static func read(
        _ body: RequestBody, onProgress: (@Sendable (TransferProgress) -> Void)?
    ) async throws -> (ByteBuffer, HTTPFields?) {
        var bytes = ByteBuffer()
        do {
            var reader = try await body.makeReader(replayLimit: replayLimit)
            while var chunk = try await reader.next() {
                bytes.writeBuffer(&chunk)
                onProgress?(TransferProgress(bytes: bytes.readableBytes, total: body.length))
            }
            if let length = body.length, length != bytes.readableBytes {
                throw ServiceError(
                    .requestBodyLengthMismatch, "the request body has \(bytes.readableBytes) bytes, not \(length)",
                    progress: .ambiguous, phase: .sending
                )
            }
            return (bytes, try await body.makeTrailers?())
        } catch let error as ServiceError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch let failure as RequestBodyFailure {
            throw failure.error
        } catch {
            throw ServiceError(
                .requestBodyFailed, "the request body failed", underlying: error, progress: .ambiguous, phase: .sending
            )
        }
    }
}

extension ServiceError.Code {
    /// A ``StubTransport`` has no route, or no answer left, for a request.
    public static let noStubbedRoute = Self(rawValue: "noStubbedRoute")
    /// A ``StubTransport`` has unused routes, or has received requests that matched no route.
    public static let stubMismatch = Self(rawValue: "stubMismatch")
}
