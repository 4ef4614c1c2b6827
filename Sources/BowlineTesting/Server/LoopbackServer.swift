public import BowlineCore
internal import NIOCore
internal import NIOPosix

/// A scripted HTTP server on this machine's loopback, for testing a client against real sockets.
///
/// It does what a test tells it, good manners or bad, per request (``respond(_:)``, ``route(_:_:_:)``) or per connection
/// in bytes (``onConnection(_:)``), remembers what it received, and lets a test await what happens without sleeping.
/// It speaks HTTP/1.1, and HTTP/2 if `Options.http2` says so. Requests are parsed strictly. To test code above the
/// transport, `StubTransport` is simpler.
///
/// ```swift
/// try await withLoopbackServer { server in
///     server.route(.get, "/users/42") { _ in .reply(200, body: #"{"name":"Ada"}"#) }
///     let client = try ServiceClient(baseURL: server.baseURL)
///     …
///     #expect(server.connections.count == 1)
/// }
/// ```
public final class LoopbackServer: Sendable {
    /// Where it listens and how.
    public let options: Options
    /// The port; 0 on a Unix domain socket.
    public let port: Int
    /// The path of the Unix domain socket, if it listens on one.
    public let socketPath: String?

    let journal: Watched<Journal>
    let scripts: ServerScripts
    private let listener: any Channel
    /// Connections of our own that keep the backlog full.
    private let fillers: [any Channel]

    private init(options: Options, listener: any Channel, fillers: [any Channel]) {
        self.options = options
        self.listener = listener
        self.fillers = fillers
        journal = Watched(Journal(keepsRecords: options.keepsRecords))
        scripts = ServerScripts()
        port = listener.localAddress?.port ?? 0
        socketPath = listener.localAddress?.pathname
    }

    /// Starts a server; stop it with ``stop()``, or use ``withLoopbackServer(_:isolation:_:)``, which does that.
    ///
    /// - Throws: what binding throws, and what is wrong with certificates.
    public static func start(_ options: Options = Options()) async throws -> LoopbackServer {
        let listener = try await Listener.bind(options)
        let server = LoopbackServer(
            options: options, listener: listener.channel,
            fillers: options.isUnreachable ? await listener.fillBacklog() : []
        )
        listener.accept(for: server)
        return server
    }

    /// Stops listening, ends scripts by cancelling them, closes all connections and waits for all that.
    ///
    /// What is on record stays. Scripts, and what answers requests, are let go.
    public func stop() async {
        try? await listener.close().get()
        let tasks = scripts.stop()
        for connection in journal.withLock({ $0.connections }) where connection.channel.isActive {
            try? await connection.closeWithoutNotify()
        }
        for task in tasks { await task.value }
        for filler in fillers { try? await filler.close().get() }
        Listener.removeSocketFile(socketPath)
        // Both may hold the server.
        journal.withLock { $0.stopped() }
        scripts.forget()
    }

    /// Stops listening, so that dials are refused; connections that are there stay.
    public func stopListening() async {
        try? await listener.close().get()
    }

    /// Answers each request with what `responder` says, on connections that are kept alive, unless a route matches.
    ///
    /// Takes effect with the next request. Without it, and without a route, the answer is 404.
    public func respond(
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply
    ) {
        scripts.respond(with: responder)
    }

    /// Shows each request to `responder` when its head has come, before its body is read.
    ///
    /// A reply is sent at once. Over HTTP/1.1 the body is then read, unless the reply ends the connection. Over HTTP/2 the
    /// body is ignored; append `.resetStream(code: 0)` to stop the client from sending it. nil: the request is read whole and
    /// answered by a route or by ``respond(_:)``. Takes effect with the next request.
    public func respondEarly(
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply?
    ) {
        scripts.respondEarly(with: responder)
    }

    /// Answers requests with these replies one after another; the last one again and again.
    public func respond(inOrder replies: [ScriptedReply]) {
        scripts.respond(with: ServerScripts.inOrder(replies))
    }

    /// Answers requests of this method and path with what `responder` says. It goes before ``respond(_:)``.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The target without its query; segments in braces stand for anything (`/users/{id}`). One without such
    ///     segments goes before those with them. The same path again takes the place of the one before.
    ///   - responder: What answers; what it throws is noted in ``problems``.
    public func route(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply
    ) {
        scripts.route(method, path, to: responder)
    }

    /// Answers every request of this method and path with this reply.
    public func route(_ method: HTTPRequest.Method, _ path: String, always reply: ScriptedReply) {
        scripts.route(method, path, to: ServerScripts.inOrder([reply]))
    }

    /// Answers requests of this method and path with these replies one after another; the last one again and again.
    public func route(_ method: HTTPRequest.Method, _ path: String, inOrder replies: [ScriptedReply]) {
        scripts.route(method, path, to: ServerScripts.inOrder(replies))
    }

    /// Drives each connection accepted from now on by `script`, in bytes; see ``LoopbackConnection``.
    ///
    /// A script that wants to treat only some connections specially leaves the others to
    /// ``LoopbackConnection/serveRequests()``. What it throws is noted in ``problems``.
    public func onConnection(_ script: @escaping @Sendable (LoopbackConnection) async throws -> Void) {
        scripts.connectionScript = script
    }

    /// The URL of the server: `http://127.0.0.1:49152`, `https://localhost:49152`, or `http+unix://…` with the path of
    /// the socket.
    public var baseURL: String {
        let scheme = options.tls == nil ? "http" : "https"
        if let socketPath { return "\(scheme)+unix://\(socketPath.replacingSlashes)" }
        switch options.address {
        case .ipv6: return "\(scheme)://[::1]:\(port)"
        default: return "\(scheme)://\(options.tls == nil ? "127.0.0.1" : "localhost"):\(port)"
        }
    }

    /// The URL of a path on the server.
    ///
    /// - Parameter path: With or without a leading slash; percent-encoded where needed.
    public func url(_ path: String) -> String {
        path.hasPrefix("/") ? baseURL + path : "\(baseURL)/\(path)"
    }
}

/// Runs `body` with a server that is stopped afterwards, whatever happens.
///
/// - Throws: what starting the server or `body` throws.
@discardableResult
public func withLoopbackServer<Result>(
    _ options: LoopbackServer.Options = LoopbackServer.Options(),
    isolation: isolated (any Actor)? = #isolation,
    _ body: (LoopbackServer) async throws -> Result
) async throws -> Result {
    let server = try await LoopbackServer.start(options)
    do {
        let result = try await body(server)
        await server.stop()
        return result
    } catch {
        await server.stop()
        throw error
    }
}

extension String {
    /// This path as the host of an `http+unix` URL.
    fileprivate var replacingSlashes: String {
        split(separator: "/", omittingEmptySubsequences: false).joined(separator: "%2F")
    }
}
