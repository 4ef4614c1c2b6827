/// A type that sends one attempt of a request to a service and returns its response.
///
/// A client uses the pooled transport. Tests use `StubTransport` of `BowlineTesting`.
public protocol ServiceTransport: Sendable {
    /// Sends one attempt: ``ServiceRequest/url``, the fields, and the bytes of ``RequestBody/chunks``.
    ///
    /// The caller owns the body of the response. If the task is cancelled, the attempt ends promptly with
    /// `CancellationError`.
    ///
    /// - Throws: ``ServiceError`` with a `progress` that says how far the request got, or `CancellationError`.
    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse

    /// Prepares for the shutdown: closes idle connections. Requests in flight go on. Requests that arrive later are
    /// still sent.
    func beginDrain()

    /// Ends everything now: requests in flight fail with `forciblyClosed`. Returns when connections are closed, or
    /// after one second at most.
    ///
    /// - Returns: how many connections were closed since the drain began.
    @discardableResult
    func close() async -> Int
}

extension ServiceTransport {
    /// Does nothing: for a transport without idle connections.
    public func beginDrain() {}

    /// Does nothing and returns 0: for a transport without connections.
    @discardableResult
    public func close() async -> Int { 0 }
}
