internal import BowlineCall
public import BowlineCore
internal import BowlineTransport

/// A client for HTTP services: it pools connections, retries safely, and finishes its requests when it shuts down.
///
/// A client is a cheap value: its copies share connections and lifecycle. Make one client for a service or for the
/// whole program, and keep it. Shut it down with ``shutdown(within:)``, run it in a service group, or use
/// ``withServiceClient(_:configure:isolation:_:)``.
///
/// ```swift
/// let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
///     $0.timeouts.total = .seconds(20)
///     $0.pool = .highThroughput
/// }
/// let user = try await client.get("users/42").decode(User.self)
/// let made = try await client.post("users", json: NewUser(name: "Ada")).expecting(.created).decode(User.self)
/// ```
public struct ServiceClient: Sendable {
    let core: ClientCore
    let policies: ClientPolicies

    /// The base URL of relative references; nil: requests need absolute URLs.
    public var baseURL: ServiceURL? { policies.baseURL }
    /// The configuration that the client was made with.
    public var configuration: ClientConfiguration { policies.configuration }

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - baseURL: The base URL of relative references, for example `https://api.example.com/v1`.
    ///   - configure: Changes the default configuration.
    /// - Throws: ``ServiceError`` `invalidURL` or `invalidConfiguration`, or any error of `configure`.
    public init(
        baseURL: String, configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) throws {
        try self.init(base: ServiceURL(baseURL), transport: nil, configure)
    }

    /// Makes a client without a base URL: its requests need absolute URLs.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration`, or any error of `configure`.
    public init(configure: (inout ClientConfiguration) throws -> Void = { _ in }) throws {
        try self.init(base: nil, transport: nil, configure)
    }

    /// Makes a client with a transport of your own, for example `StubTransport` of `BowlineTesting`.
    ///
    /// The configuration's `pool`, `connection` (except `replayLimit`), `http2`, `tls`, `proxy` and `resolver` are then
    /// ignored.
    ///
    /// - Throws: ``ServiceError`` `invalidURL` or `invalidConfiguration`, or any error of `configure`.
    public init(
        baseURL: String, transport: any ServiceTransport,
        configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) throws {
        try self.init(base: ServiceURL(baseURL), transport: transport, configure)
    }

    /// Makes a client without a base URL, with a transport of your own: its requests need absolute URLs.
    ///
    /// The configuration's `pool`, `connection` (except `replayLimit`), `http2`, `tls`, `proxy` and `resolver` are then
    /// ignored.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration`, or any error of `configure`.
    public init(
        transport: any ServiceTransport, configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) throws {
        try self.init(base: nil, transport: transport, configure)
    }

    private init(
        base: ServiceURL?, transport: (any ServiceTransport)?,
        _ configure: (inout ClientConfiguration) throws -> Void
    ) throws {
        var configuration = ClientConfiguration()
        try configure(&configuration)
        configuration.reconcileLimits()
        core = try ClientCore(configuration: configuration, base: base, transport: transport)
        configuration.reportReading()
        policies = ClientPolicies(baseURL: base, configuration: configuration, core: core)
    }

    /// Makes a client with other policies over the same core.
    init(core: ClientCore, policies: ClientPolicies) {
        self.core = core
        self.policies = policies
    }

    /// Sends a request and returns its response when the head has arrived. Read the body from the response.
    ///
    /// Cancelling the task ends the request promptly in every phase. While the client drains, admitted requests go on
    /// and new requests are refused.
    ///
    /// - Returns: the response, with any status. Read its body or drop it: an unread body that is still arriving keeps
    ///   the request in flight.
    /// - Throws: ``ServiceError``: `invalidURL`, `invalidRequest`, `shuttingDown` before anything is sent; later the
    ///   codes of the pool, the connection and the response (`Docs/Errors.md`). `CancellationError` when the task is
    ///   cancelled.
    public func send(_ request: consuming ServiceRequest) async throws -> ServiceResponse {
        // If the caller does not keep the request, it is changed in place, without a copy.
        var request = request
        let context: RequestContext
        do {
            context = try admit(&request)
        } catch {
            let error = Self.naming(error, request.method, request.ownOptions?.value.targetTemplate)
            guard let (fallback, call) = fallback(ofRefused: request) else { throw error }
            return try await answer(insteadOf: error, by: fallback, call, request.ownOptions)
        }
        // Kept for the code after the call, which consumes `request` and `context`.
        let (body, options, call) = (request.body, request.ownOptions, context.call)
        let fallback = options == nil ? nil : Fallback(request, context, executor: policies.executor)
        do {
            try check(options)
            var response =
                if let middleware = policies.middleware {
                    try await middleware(consume request, context: consume context)
                } else {
                    try await policies.executor.handle(consume request, context: consume context)
                }
            complete(&response, of: call, options)
            return response
        } catch {
            release(body, of: call, after: error)
            if fallback == nil { call.end() }
            guard let fallback else { throw call.naming(error) }
            return try await answer(insteadOf: call.naming(error), by: fallback, call, options)
        }
    }

    /// Abandons the body of a call that failed, because no further attempt sends it. This ends the pending read of a
    /// one-shot stream.
    ///
    /// But if nothing was sent and nothing of the stream was read, the stream is as it was before the call. The caller
    /// keeps it, and may send it with another request, for example to another service.
    @inline(never)
    private func release(_ body: RequestBody, of call: CallRecord, after error: any Error) {
        if body.isUntouchedStream, (error as? ServiceError)?.progress == .neverSent {
            call.takeBack(body)
        } else {
            body.abandon()
        }
    }

    /// Makes a response from the error of a call that failed. The call is in flight until the body of this response has
    /// ended.
    private func answer(
        insteadOf error: any Error, by fallback: Fallback, _ call: CallRecord, _ options: ServiceRequest.OwnOptions?
    ) async throws -> ServiceResponse {
        do {
            var response = try await fallback.response(insteadOf: error)
            complete(&response, of: call, options)
            return response
        } catch {
            call.end()
            throw call.naming(error)
        }
    }

    /// Returns the fallback of a request that was not admitted as a call, with a record for its response; nil: it has
    /// none.
    @inline(never)
    private func fallback(ofRefused request: ServiceRequest) -> (Fallback, CallRecord)? {
        guard request.ownOptions != nil else { return nil }
        let template = request.ownOptions?.value.targetTemplate
        let now = core.clock.now
        // Without a registry: no shutdown waits for this record.
        let call = CallRecord(
            admitted: now, method: request.method.rawValue, target: template ?? request.url?.path ?? "",
            isTargetNamed: template != nil || configuration.telemetry.namesPathsInErrors, clock: core.clock)
        let context = policies.context(of: request, call: call, now: now)
        return Fallback(request, context, executor: policies.executor).map { ($0, call) }
    }

    /// Adds method and target to an error that was thrown before the request was admitted as a call.
    @inline(never)
    static func naming(_ error: any Error, _ method: HTTPRequest.Method, _ target: String?) -> any Error {
        (error as? ServiceError)?.ofCall(method, target) ?? error
    }

    // Not inlined into `send`: keeps its suspended frame small.

    @inline(never)
    private func check(_ options: ServiceRequest.OwnOptions?) throws {
        try options?.value.validate()
    }

    /// Adds URL and fields to a request, and admits it as a call in flight.
    @inline(never)
    private func admit(_ request: inout ServiceRequest) throws -> RequestContext {
        let url = try policies.resolve(request)
        let template = request.ownOptions?.value.targetTemplate
        let target = template ?? url.path
        try policies.addFields(to: &request, for: url)
        request.url = consume url
        let now = core.clock.now
        let call = try core.lifecycle.admit(
            method: request.method.rawValue, target: target,
            isTargetNamed: template != nil || configuration.telemetry.namesPathsInErrors, now: now
        )
        return policies.context(of: request, call: call, now: now)
    }

    @inline(never)
    private func complete(
        _ response: inout ServiceResponse, of call: CallRecord, _ options: ServiceRequest.OwnOptions?
    ) {
        if let report = options?.value.onDownloadProgress {
            response.body = response.body.reporting(report)
        }
        response.attach(to: call, decoding: policies.decoding)
    }
}

/// Runs `body` with a client that is drained when the scope ends, also if `body` throws.
///
/// The drain takes at most the configuration's `lifecycle.drainTimeout`. If the task is cancelled, the drain ends at
/// once.
///
/// - Parameters:
///   - baseURL: The base URL of relative references.
///   - isOnEventLoop: Whether `body`, and the tasks that it starts in its scope, run on one of the client's event
///     loops; see ``ServiceClient/withEventLoopExecutor(_:)``.
///   - configure: Changes the default configuration.
///   - body: Uses the client.
/// - Throws: any error of making the client, or of `body`.
public func withServiceClient<Result: Sendable>(
    _ baseURL: String, isOnEventLoop: Bool, configure: (inout ClientConfiguration) throws -> Void = { _ in },
    _ body: @escaping @Sendable @concurrent (ServiceClient) async throws -> Result
) async throws -> Result {
    try await withServiceClient(baseURL, configure: configure) { client in
        guard isOnEventLoop else { return try await body(client) }
        return try await client.withEventLoopExecutor { try await body(client) }
    }
}

/// Runs `body` with a client that is drained when the scope ends, also if `body` throws.
///
/// The drain takes at most the configuration's `lifecycle.drainTimeout`. If the task is cancelled, the drain ends at
/// once.
///
/// - Throws: any error of making the client, or of `body`.
public func withServiceClient<Result>(
    _ baseURL: String, configure: (inout ClientConfiguration) throws -> Void = { _ in },
    isolation: isolated (any Actor)? = #isolation,
    _ body: (ServiceClient) async throws -> Result
) async throws -> Result {
    let client = try ServiceClient(baseURL: baseURL, configure: configure)
    do {
        let result = try await body(client)
        await client.shutdown()
        return result
    } catch {
        await client.shutdown()
        throw error
    }
}
