public import BowlineCore
internal import NIOCore
internal import NIOPosix

/// A scripted HTTP server on this machine's loopback, for testing a client over real sockets.
///
/// A test scripts its behaviour, correct or faulty, per request (``respond(_:)``, ``route(_:_:_:)``) or per connection
/// (``onConnection(_:)``): such a script receives and sends bytes. The server records requests and connections, and its
/// `waitFor…` methods await events without sleeping. It speaks HTTP/1.1, and HTTP/2 if `Options.http2` is set. It
/// parses requests strictly. To test code above the transport, use `StubTransport`, which is simpler.
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
    /// The options that the server was started with.
    public let options: Options
    /// The port; 0 on a Unix domain socket.
    public let port: Int
    /// The path of the Unix domain socket; nil if the server listens on a port.
    public let socketPath: String?

    let journal: Waitable<Journal>
    let scripts: ServerScripts
    private let listener: any Channel
    /// Our own connections, which keep the backlog full.
    private let fillers: [any Channel]

    private init(options: Options, listener: any Channel, fillers: [any Channel]) {
        self.options = options
        self.listener = listener
        self.fillers = fillers
        journal = Waitable(Journal(keepsRecords: options.keepsRecords))
        scripts = ServerScripts()
        port = listener.localAddress?.port ?? 0
        socketPath = listener.localAddress?.pathname
    }

    /// Starts a server. Stop it with ``stop()``, or use ``withLoopbackServer(_:isolation:_:)``, which stops it.
    ///
    /// - Throws: the error of binding the socket, or of reading the certificates and keys.
    public static func start(_ options: Options = Options()) async throws -> LoopbackServer {
        let listener = try await Listener.bind(options)
        let server = LoopbackServer(
            options: options, listener: listener.channel,
            fillers: options.isUnreachable ? await listener.fillBacklog() : []
        )
        listener.accept(for: server)
        return server
    }

    /// Stops listening, cancels the scripts, closes all connections, and waits until they have ended.
    ///
    /// The records stay. The server releases the scripts and responders.
    public func stop() async {
        try? await listener.close().get()
        let tasks = scripts.stop()
        for connection in journal.withLock({ $0.connections }) where connection.channel.isActive {
            try? await connection.closeWithoutNotify()
        }
        for task in tasks { await task.value }
        for filler in fillers { try? await filler.close().get() }
        Listener.removeSocketFile(socketPath)
        // Connections and responders may keep references to the server.
        journal.withLock { $0.stopped() }
        scripts.forget()
    }

    /// Stops listening, so that dials are refused. Open connections stay open.
    public func stopListening() async {
        try? await listener.close().get()
    }

    /// Calls `responder` to answer each request that matches no route, on connections that are kept alive.
    ///
    /// Takes effect with the next request. Without a responder and a route, the answer is 404. Errors that `responder`
    /// throws are recorded in ``problems``.
    public func respond(
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply
    ) {
        scripts.respond(with: responder)
    }

    /// Passes each request to `responder` when its head has been received, before its body is read.
    ///
    /// A reply is sent at once. Over HTTP/1.1 the server then reads the body, unless the reply ends the connection.
    /// Over HTTP/2 the server ignores the body; append `.resetStream(code: 0)` to stop the client from sending it. If
    /// `responder` returns nil, the server reads the whole request, and a route or ``respond(_:)`` answers it. Takes
    /// effect with the next request.
    public func respondEarly(
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply?
    ) {
        scripts.respondEarly(with: responder)
    }

    /// Gives these replies, in order, to requests that match no route, then repeats the last one.
    public func respond(inOrder replies: [ScriptedReply]) {
        scripts.respond(with: ServerScripts.inOrder(replies))
    }

    /// Calls `responder` to answer requests with this method and path. Routes take precedence over ``respond(_:)``.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The target without its query. A segment in braces matches any segment that is not empty
    ///     (`/users/{id}`). A path without such segments takes precedence over paths with them. A second route with the
    ///     same method and path replaces the first.
    ///   - responder: Returns the reply. Errors that it throws are recorded in ``problems``.
    public func route(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ responder: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply
    ) {
        scripts.route(method, path, to: responder)
    }

    /// Gives this reply to every request with this method and path.
    public func route(_ method: HTTPRequest.Method, _ path: String, always reply: ScriptedReply) {
        scripts.route(method, path, to: ServerScripts.inOrder([reply]))
    }

    /// Gives these replies, in order, to requests with this method and path, then repeats the last one.
    public func route(_ method: HTTPRequest.Method, _ path: String, inOrder replies: [ScriptedReply]) {
        scripts.route(method, path, to: ServerScripts.inOrder(replies))
    }

    /// Runs `script` on each connection accepted from now on. The script receives and sends bytes; see
    /// ``LoopbackConnection``.
    ///
    /// A script that treats only some connections specially calls ``LoopbackConnection/serveRequests()`` on the others.
    /// Errors that it throws are recorded in ``problems``.
    public func onConnection(_ script: @escaping @Sendable (LoopbackConnection) async throws -> Void) {
        scripts.connectionScript = script
    }

    /// The server's URL: `http://127.0.0.1:49152`, `https://localhost:49152`, or `http+unix://…` with the path of the
    /// socket.
    public var baseURL: String {
        let scheme = options.tls == nil ? "http" : "https"
        if let socketPath { return "\(scheme)+unix://\(socketPath.replacingSlashes)" }
        switch options.address {
        case .ipv6: return "\(scheme)://[::1]:\(port)"
        default: return "\(scheme)://\(options.tls == nil ? "127.0.0.1" : "localhost"):\(port)"
        }
    }

    /// Returns the URL of a path on the server.
    ///
    /// - Parameter path: The path, percent-encoded where needed. The leading slash is optional.
    public func url(_ path: String) -> String {
        path.hasPrefix("/") ? baseURL + path : "\(baseURL)/\(path)"
    }
}

/// Runs `body` with a new server, and stops the server when `body` returns or throws.
///
/// - Throws: the error of starting the server, or of `body`.
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
    /// This path in the form of a host of an `http+unix` URL.
    fileprivate var replacingSlashes: String {
        split(separator: "/", omittingEmptySubsequences: false).joined(separator: "%2F")
    }
}
