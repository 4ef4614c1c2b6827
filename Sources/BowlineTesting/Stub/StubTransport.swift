public import BowlineCore
internal import NIOCore

/// A transport without a network: answers from a table of routes, and fails on requests that match none.
///
/// For testing middleware and typed clients. Sockets, timeouts and reuse are tested with ``LoopbackServer``.
///
/// ```swift
/// let stub = StubTransport()
/// stub.on(.get, "/users/42") { _ in ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(string: json))) }
/// stub.on(.post, "/users", inOrder: [.fail(.connectionClosed, progress: .ambiguous), .respond(.created)])
/// …
/// try stub.verify()
/// ```
/// Of several routes that match, the one added last answers.
public final class StubTransport: ServiceTransport {
    private struct State: Sendable {
        var routes: [StubRoute] = []
        var calls: [StubbedCall] = []
        var unmatched: [String] = []
        var isDraining = false
        var isClosed = false
        var underWay: [Int: Task<ServiceResponse, any Error>] = [:]
        var nextNumber = 0
    }

    /// How much of a one-shot body is kept for another attempt, in bytes.
    private static let replayLimit = 65536

    private let state = Watched(State())

    /// Makes a transport without routes.
    public init() {}

    /// Answers all requests of this method and path.
    ///
    /// - Parameters:
    ///   - method: The method; nil: any.
    ///   - path: A path, of which segments in braces stand for anything (`/users/{id}`), with a query if that matters; or
    ///     an absolute URL.
    ///   - answer: Makes the response, or throws.
    public func on(
        _ method: HTTPRequest.Method?,
        _ path: String,
        _ answer: @escaping @Sendable (StubbedCall) async throws -> ServiceResponse
    ) {
        add(StubRoute(method, path, .always(.respond(with: answer))))
    }

    /// Answers all requests of this method and path in the same way.
    public func on(_ method: HTTPRequest.Method?, _ path: String, always answer: StubAnswer) {
        add(StubRoute(method, path, .always(answer)))
    }

    /// Answers requests of this method and path with these answers one after another.
    ///
    /// - Parameters:
    ///   - method: The method; nil: any.
    ///   - path: As for all requests of a path, with `{…}` segments, or an absolute URL.
    ///   - answers: The answers in order.
    ///   - repeatsLast: Whether the last one is given again and again; else further requests fail. Default false.
    public func on(
        _ method: HTTPRequest.Method?, _ path: String, inOrder answers: [StubAnswer], repeatsLast: Bool = false
    ) {
        add(StubRoute(method, path, .inOrder(answers, repeatsLast: repeatsLast)))
    }

    private func add(_ route: StubRoute) {
        state.withLock { $0.routes.append(route) }
    }

    /// The requests received, in order, those that failed or matched no route included.
    public var calls: [StubbedCall] { state.withLock { $0.calls } }

    /// Routes that no request has matched, and those with answers left.
    public var unusedRoutes: [String] { state.withLock { $0.routes.compactMap(\.unused) } }

    /// Requests that matched no route, as `GET /path`.
    public var unmatchedRequests: [String] { state.withLock { $0.unmatched } }

    /// Whether ``beginDrain()`` was called.
    public var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Checks that every route was used and every request matched one.
    ///
    /// - Throws: `ServiceError` with code `stubMismatch` that lists what was not so.
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
        var call = StubbedCall(request: request, context: context, path: url.path, query: url.query)
        let answer = try answer(to: call, url)
        if answer?.readsBody ?? false {
            do {
                (call.body, call.trailers) = try await Self.read(
                    request.body, onProgress: request.ownOptions?.value.onUploadProgress)
            } catch {
                record(call)
                throw error
            }
        }
        record(call)
        guard let answer else {
            throw ServiceError(.noStubbedRoute, "no route is stubbed for \(request.method) \(url.path)")
        }
        var response = try await run(answer, call)
        request.body.commit()
        response.facts.attempts = max(response.facts.attempts, context.attempt)
        return response
    }

    public func beginDrain() {
        state.withLock { $0.isDraining = true }
    }

    @discardableResult
    public func close() async -> Int {
        let tasks = state.withLock { state in
            state.isClosed = true
            return Array(state.underWay.values)
        }
        for task in tasks { task.cancel() }
        return 0
    }

    /// - Returns: nil if no route matches.
    private func answer(to call: StubbedCall, _ url: ServiceURL) throws -> StubAnswer? {
        let name = "\(call.method) \(url.path)"
        return try state.withLock { state in
            guard !state.isClosed else { throw Self.closed(progress: .neverSent) }
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

    /// Makes the answer in a task of its own, so that ``close()`` can end it.
    private func run(_ answer: StubAnswer, _ call: StubbedCall) async throws -> ServiceResponse {
        let task = Task { try await answer.answer(call) }
        let number = state.withLock { state in
            state.nextNumber += 1
            state.underWay[state.nextNumber] = task
            if state.isClosed { task.cancel() }
            return state.nextNumber
        }
        defer { state.withLock { _ = $0.underWay.removeValue(forKey: number) } }
        do {
            return try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        } catch is CancellationError where isClosed && !Task.isCancelled {
            throw Self.closed(progress: .ambiguous)
        }
    }

    private static func closed(progress: RequestProgress) -> ServiceError {
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
    /// A ``StubTransport`` has unused routes, or got requests that matched none.
    public static let stubMismatch = Self(rawValue: "stubMismatch")
}
