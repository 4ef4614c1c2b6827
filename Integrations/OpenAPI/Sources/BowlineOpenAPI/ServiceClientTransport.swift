public import Bowline
public import OpenAPIRuntime

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Sends what a generated OpenAPI client asks for with a ``ServiceClient``: its pool, retries, limits and telemetry.
///
/// ```swift
/// let client = try ServiceClient(baseURL: "https://api.example.com/v1")
/// let orders = Client(serverURL: try Servers.Server1.url(), transport: ServiceClientTransport(client))
/// let order = try await orders.getOrder(path: .init(id: "42")).ok.body.json
/// ```
/// The `ServiceClient` stays the caller's: shut it down when the generated client is no longer used. Several transports
/// may share one.
///
/// - A request's body is streamed. One that may be iterated several times is sent again by retries, redirects and
///   resends; one that may be iterated once is not sent again once a response has begun.
/// - A response's body is streamed and may be iterated once. It is the caller's to read or to let go; until then the call
///   counts as in flight.
/// - The operation's id is the request's `targetTemplate`: it names the call in spans, log lines, events, errors and the
///   report of a shutdown.
/// - A call inherits `Deadline.current` and the cancellation of its task, as any call of the client does.
///
/// The runtime wraps what is thrown here in its `ClientError`; ``OpenAPIRuntime/ClientError/serviceError`` is what was
/// thrown, with its `code` and `progress`.
public struct ServiceClientTransport: ClientTransport {
    /// Changes what the calls of one operation want to be different from their client.
    public typealias OperationOptions = @Sendable (_ operationID: String, _ options: inout RequestOptions) -> Void

    private let client: ServiceClient
    private let changeOptions: OperationOptions?

    /// Makes a transport over a client.
    ///
    /// ```swift
    /// let transport = ServiceClientTransport(client) { operation, options in
    ///     if operation == "exportOrders" { options.timeouts = .streaming }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - client: What sends the requests. Its own base URL matters only if the server URL is relative, and for its
    ///     `fields` and credentials, which go to its own origin only.
    ///   - options: Called once for each call, in the caller's task, with the operation's id as the OpenAPI document has it
    ///     and the options that the request will have; must not block. nil: they are the client's. Default nil.
    public init(_ client: ServiceClient, options: OperationOptions? = nil) {
        self.client = client
        changeOptions = options
    }

    /// Sends the request of an operation; called by generated clients.
    ///
    /// - Parameters:
    ///   - request: Method, path with query, and header fields. `path` must begin with `/` and be percent-encoded; `scheme`
    ///     and `authority` are ignored.
    ///   - body: What is sent; nil: nothing.
    ///   - baseURL: The server URL, to which `path` is appended; a relative one is appended to the client's base URL.
    ///   - operationID: The operation's id.
    /// - Returns: the response, whatever its status. There is no body after HEAD and with the statuses 204 and 304.
    /// - Throws: ``ServiceError``: `invalidURL` if the server URL cannot be used, `invalidRequest` if the path or a field may
    ///   not be sent, both before anything is sent; else as `ServiceClient.send`. `CancellationError` when the task is
    ///   cancelled.
    public func send(
        _ request: HTTPRequest, body: HTTPBody?, baseURL: URL, operationID: String
    ) async throws -> (HTTPResponse, HTTPBody?) {
        let response = try await client.send(serviceRequest(request, body, baseURL, operationID))
        let head = HTTPResponse(status: response.status, headerFields: response.fields)
        guard request.method != .head, response.status != .noContent, response.status != .notModified else {
            return (head, nil)
        }
        return (head, HTTPBody(receiving: response.body))
    }

    private func serviceRequest(
        _ request: HTTPRequest, _ body: HTTPBody?, _ server: URL, _ operationID: String
    ) throws -> ServiceRequest {
        let url = try OperationURL.make(path: request.path, server: server, base: client.baseURL)
        var options = RequestOptions()
        if !operationID.isEmpty { options.targetTemplate = operationID }
        changeOptions?(operationID, &options)
        return ServiceRequest(
            method: request.method, url.absoluteString, fields: request.headerFields,
            body: body.map(RequestBody.sending) ?? .none, options: options)
    }
}
