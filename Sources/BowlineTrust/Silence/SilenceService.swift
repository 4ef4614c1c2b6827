internal import Bowline
internal import BowlineTesting

/// The service behind the path: answers each call with its number, and delays calls in the phase that a scenario needs.
final class SilenceService: Sendable {
    /// How a call is answered.
    enum Route: String, Sendable {
        /// Immediately.
        case fast
        /// After 100 ms. By then, all calls that begin together have a connection each, so no call gets the connection
        /// of a finished call.
        case slow
        /// When ``SilenceService/heads`` is open; over HTTP/1.1 the first 20 bytes of the head come earlier.
        case head
        /// Immediately, with a body that takes 400 ms.
        case body
        /// As soon as the request's body has arrived.
        case upload
        /// When ``SilenceService/meeting`` is open.
        case meet
    }

    static let slowness = Duration.milliseconds(100)
    private static let bodyBytes = 5120
    private static let pieceBytes = 512
    private static let pieceInterval = Duration.milliseconds(40)

    /// The gate that calls of ``Route/head`` wait for.
    let heads = Gate()
    private let speaks: SilenceProtocol
    private let callsPerConnection: Int
    /// How often each POST was executed, by its target.
    private let executions = Guarded<[String: Int]>([:])
    private let meetings = Guarded(Gate())

    init(_ speaks: SilenceProtocol, callsPerConnection: Int) {
        self.speaks = speaks
        self.callsPerConnection = callsPerConnection
    }

    /// The gate that calls of ``Route/meet`` wait for.
    var meeting: Gate { meetings.withLock { $0 } }

    /// How many POSTs were executed more than once.
    var postsExecutedTwice: Int { executions.withLock { $0.values.count(where: { $0 > 1 }) } }

    /// Starts a server with this service's answers.
    func start() async throws -> LoopbackServer {
        var options = LoopbackServer.Options()
        if speaks.isEncrypted { options.tls = LoopbackTLS() }
        if speaks == .http2TLS {
            var http2 = LoopbackHTTP2()
            http2.maximumStreams = callsPerConnection
            options.http2 = http2
        }
        options.recordedBodyLimit = 0
        options.keepsRecords = false
        let server = try await LoopbackServer.start(options)
        server.respond { self.reply(to: $0) }
        return server
    }

    /// Makes a new gate for the next calls of ``Route/meet``.
    func beginMeeting() -> Gate {
        let gate = Gate()
        meetings.withLock { $0 = gate }
        return gate
    }

    /// The body of the answer to a call.
    static func answer(_ route: Route, _ call: Int) -> String {
        let text = "\(call) "
        guard route == .body else { return text }
        return text + String(repeating: ".", count: bodyBytes - text.utf8.count)
    }

    private func reply(to request: RecordedRequest) -> ScriptedReply {
        if request.method == .post { executions.withLock { $0[request.target, default: 0] += 1 } }
        let name = request.path.dropFirst()
        guard let route = Route(rawValue: String(name)), let call = Self.number(of: request.target) else {
            return .reply(404)
        }
        let response = ScriptedResponse(200, body: Self.answer(route, call))
        switch route {
        case .fast, .upload: return .reply(response)
        case .slow: return .reply(response).delayed(by: Self.slowness)
        case .meet: return .reply(response).held(by: meeting)
        case .body: return .trickle(response, size: Self.pieceBytes, every: Self.pieceInterval)
        case .head:
            guard speaks != .http2TLS else { return .reply(response).held(by: heads) }
            var rest = response.bytes(answering: request.method)
            let begun = rest.readSlice(length: 20) ?? ByteBuffer()
            return .bytes(begun).then(.bytes(rest).held(by: heads))
        }
    }

    private static func number(of target: String) -> Int? {
        target.split(separator: "=").last.flatMap { Int($0) }
    }
}
