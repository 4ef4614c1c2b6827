/// Carries one attempt of a request to a service and brings back its response.
///
/// The pooled transport is one; tests use `StubTransport` of `BowlineTesting`.
public protocol ServiceTransport: Sendable {
    /// Sends one attempt: ``ServiceRequest/url``, the fields, and the bytes of ``RequestBody/chunks``.
    ///
    /// The body of the response is the caller's. Cancelling the task ends the attempt promptly with
    /// `CancellationError`.
    ///
    /// - Throws: ``ServiceError``, whose `progress` says how far the request got, or `CancellationError`.
    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse

    /// Prepares for the end: closes idle connections. Requests under way, and requests that still come, go on.
    func beginDrain()

    /// Ends everything now: requests under way fail with `forciblyClosed`. Returns when connections are closed, or
    /// after one second at most.
    ///
    /// - Returns: how many connections the drain and this have closed.
    @discardableResult
    func close() async -> Int
}

extension ServiceTransport {
    /// Does nothing: for a transport that keeps nothing idle.
    public func beginDrain() {}

    /// Does nothing, and says that no connection was closed: for a transport without connections.
    @discardableResult
    public func close() async -> Int { 0 }
}
