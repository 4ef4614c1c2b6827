import BowlineTesting
import InMemoryTracing
import Logging
import Metrics
import MetricsTestKit
import NIOCore
import Synchronization
import Testing
import Tracing

@testable import Bowline

/// Puts a secret in every place where a program may have one, and searches every place where a reader may see it.
@Suite("Secrets stay secret", .timeLimit(.minutes(1)))
struct CanaryTests {
    private static let canary = "c4nary-5ecret"

    /// The outcome of a request that carries secrets.
    enum Outcome: String, CaseIterable, Sendable {
        case succeeds, unexpectedStatus, undecodable, tooLarge, brokenCoding
        case closed, cutBody, malformedHead, timedOut, cancelled, unreachable, untrusted
        case userInformation, badURL, badField, badMethod, failingBody, failingMiddleware
    }

    private struct Login: Codable, Sendable {
        var password: String
    }

    private struct Leaky: Error, CustomStringConvertible {
        var description: String { CanaryTests.canary }
    }

    private struct FailingMiddleware: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            throw Leaky()
        }
    }

    /// The places where secrets would be visible.
    private final class Watchers: Sendable {
        let log = Mutex([String]())
        let tracer = InMemoryTracer()
        let metrics = TestMetrics()
        let events = Mutex([String]())
        let shown = Mutex([String]())

        var logger: Logger {
            var logger = Logger(label: "canary") { _ in Lines(watchers: self) }
            logger.logLevel = .trace
            return logger
        }

        /// Writes a value out in each way in which a program might.
        func show(_ value: some Any) {
            var dumped = ""
            dump(value, to: &dumped)
            shown.withLock { $0 += ["\(value)", String(reflecting: value), dumped] }
        }

        /// The places that contain the canary.
        var leaks: [String] {
            var everything = [
                "log": log.withLock { $0 }, "event": events.withLock { $0 }, "description": shown.withLock { $0 },
                "span": tracer.finishedSpans.map(Self.text),
            ]
            everything["metric"] =
                metrics.timers.map { "\($0.label) \($0.dimensions)" }
                + metrics.meters.map { "\($0.label) \($0.dimensions)" }
                + metrics.counters.map { "\($0.label) \($0.dimensions)" }
            return everything.flatMap { place, texts in
                texts.filter { $0.contains(CanaryTests.canary) }.map { "\(place): \($0)" }
            }
        }

        private static func text(_ span: FinishedInMemorySpan) -> String {
            var text = "\(span.operationName) \(String(describing: span.status)) \(span.errors) \(span.events)"
            span.attributes.forEach { text += " \($0)=\($1)" }
            return text
        }
    }

    private struct Listener: ServiceEventListener {
        let watchers: Watchers

        func requestLeased(_ event: RequestEvent, isReused: Bool) { add(event) }
        func responseHead(_ event: RequestEvent, status: Int) { add(event) }
        func requestEnded(_ event: RequestEvent, _ ending: RequestEnding) { add((event, "\(ending)")) }
        func connectionFailed(_ event: ConnectionEvent, error: ServiceError) { add((event, error)) }
        func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration) { add((event, reason)) }

        private func add(_ event: Any) {
            var text = ""
            dump(event, to: &text)
            watchers.events.withLock { $0.append(text) }
        }
    }

    private struct Lines: LogHandler {
        let watchers: Watchers
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            watchers.log.withLock { $0.append("\(event.message) \(metadata) \(event.metadata ?? [:])") }
        }
    }

    @Test(
        "A secret in a header, the query, user information, a token or a body is in no log, error, description, span or metric",
        arguments: Outcome.allCases)
    func canary(outcome: Outcome) async throws {
        let watchers = Watchers()
        try await withLoopbackServer(outcome == .untrusted ? .tls() : LoopbackServer.Options()) { server in
            server.respond { _ in Self.reply(outcome) }
            if outcome == .unreachable { await server.stopListening() }
            let client = try withTracer(watchers.tracer) {
                try withMetricsFactory(watchers.metrics) { try Self.client(server, outcome, watchers) }
            }
            watchers.show(client)
            watchers.show(client.configuration)
            let task = Task { await Self.run(outcome, client, watchers) }
            if outcome == .cancelled {
                try await server.waitForRequests(count: 1)
                task.cancel()
            }
            await task.value
            watchers.show(client.pool.snapshot())
            watchers.show(await client.shutdown(within: .seconds(1)))
            // The secret was really sent, so the search could have found it.
            let wasSent = !server.requests.isEmpty
            let sent = server.requests.map { "\($0)" }.joined()
            if wasSent { #expect(sent.contains("Bearer \(Self.canary)")) }
            let isRefused = [.userInformation, .badURL].contains(outcome)
            #expect(isRefused || !watchers.tracer.finishedSpans.isEmpty)
            #expect(isRefused || !watchers.log.withLock { $0.isEmpty })
            #expect(isRefused || !watchers.metrics.timers.isEmpty || !watchers.metrics.meters.isEmpty)
        }
        #expect(watchers.shown.withLock { $0.count } >= 9)
        #expect(watchers.leaks == [])
    }

    private static func client(
        _ server: LoopbackServer, _ outcome: Outcome, _ watchers: Watchers
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: server.baseURL) {
            $0.telemetry.logger = watchers.logger
            $0.telemetry.events = [Listener(watchers: watchers)]
            $0.retry.maximumAttempts = 1
            $0.authentication = try BearerAuthentication(token: canary)
            $0.fields = [.userAgent: canary]
            if outcome == .timedOut { $0.timeouts.responseHead = .milliseconds(20) }
            if outcome == .failingMiddleware { $0.middleware.perAttempt = [FailingMiddleware()] }
        }
    }

    private static func reply(_ outcome: Outcome) -> ScriptedReply {
        let fields: HTTPFields = [.setCookie: "session=\(canary)", .server: canary]
        let body = "{\"password\":\"\(canary)\",\"other\":\"\(canary)\"}"
        switch outcome {
        case .unexpectedStatus: return .reply(409, fields: fields, body: body)
        case .undecodable: return .reply(200, fields: fields, body: "[\"\(canary)\"]")
        case .brokenCoding: return .reply(200, fields: [.contentEncoding: "gzip", .server: canary], body: body)
        case .closed: return .close
        case .cutBody: return .bytes("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\(canary)").thenClose()
        case .malformedHead: return .bytes("HTTP/1.1 200 OK\r\n\(canary) : \(canary)\r\n\r\n")
        case .timedOut, .cancelled: return .nothing.thenStall()
        default: return .reply(200, fields: fields, body: body)
        }
    }

    /// Sends the request and writes out every result of it.
    private static func run(_ outcome: Outcome, _ client: ServiceClient, _ watchers: Watchers) async {
        do {
            let request = try request(outcome)
            watchers.show(request)
            watchers.show(request.body)
            let response = try await client.send(request)
            watchers.show(response)
            watchers.show(response.facts)
            watchers.show(response.receivedFields)
            watchers.show(response.body)
            switch outcome {
            case .tooLarge: _ = try await response.body.collect(upTo: 3)
            case .unexpectedStatus: _ = try await response.expecting(.ok)
            default: _ = try await response.decode(Login.self)
            }
        } catch {
            // An error that the test threw comes back unchanged: its author is responsible for its text.
            if error is Leaky { return }
            watchers.show(error)
            if let underlying = (error as? ServiceError)?.underlying, !(underlying is Leaky) {
                watchers.show(underlying)
            }
        }
        if outcome == .badField {
            var request = ServiceRequest.get("/")
            do { try request.setField("X-Secret", "\(canary)\r\nX: \(canary)") } catch { watchers.show(error) }
            do { try request.setField("X-Secret\r\n", "\(canary)") } catch { watchers.show(error) }
        }
    }

    private static func request(_ outcome: Outcome) throws -> ServiceRequest {
        var reference = "/login?token=\(canary)&\(canary)"
        if outcome == .userInformation { reference = "http://user:\(canary)@localhost/login" }
        if outcome == .badURL { reference = "gopher://localhost/login?token=\(canary)\u{1}" }
        var request = ServiceRequest.post(reference, body: .text("password=\(canary)"))
        if outcome == .badMethod { request.method = HTTPRequest.Method("FROB") ?? .post }
        request.fields[.cookie] = "session=\(canary)"
        if outcome == .failingBody {
            request.body = .stream(AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: Leaky()) })
        }
        return request
    }

    @Test("No description, mirror or dump of a request's or a client's values contains a secret")
    func values() throws {
        let watchers = Watchers()
        let text = Self.canary
        let url = try ServiceURL("http://localhost/a?token=\(text)#\(text)")
        watchers.show(url)
        watchers.show(Optional(url) as Any)
        // A "?" or "#" that becomes another character through a combining mark.
        watchers.show(ServiceRequest.get("search?\u{301}token=\(text)"))
        watchers.show(ServiceRequest.get("search#\u{301}\(text)"))
        let query: QueryItems = ["token": text]
        watchers.show(query)
        watchers.show(query.items)
        let bytes = ByteBuffer(string: text)
        let bodies: [RequestBody] = [.text(text), .form(query), .replayable { AsyncStream<ByteBuffer> { _ in } }]
        watchers.show(bodies)
        var form = MultipartForm()
        form.append("password", text)
        watchers.show(form)
        watchers.show(try RequestBody.multipart(form))
        var filled = EndpointRequest(options: RequestOptions(), encoder: ClientConfiguration().encoder)
        filled.path["token"] = text
        filled.query["token"] = text
        filled.fields[.authorization] = text
        filled.body = .text(text)
        watchers.show(filled)
        var configuration = ClientConfiguration()
        configuration.fields = [.authorization: text, .cookie: text]
        configuration.authentication = try BasicAuthentication(user: text, password: text)
        configuration.tls.identity = .pem(certificate: text, key: text)
        let choices: [ProxyChoice] = [
            .http("http://\(text):\(text)@p"), .http("http://p/\(text)"), .url("\(text):\(text)"),
        ]
        for choice in choices {
            configuration.proxy = choice
            watchers.show(configuration)
            watchers.show(choice)
            watchers.show(configuration.problems())
        }
        let proxy = try Proxy("socks5://p", credentials: ProxyCredentials(user: text, password: text))
        watchers.show(proxy)
        watchers.show(proxy.credentials as Any)
        watchers.show(configuration)
        var facts = ResponseFacts()
        facts.redirects = [url]
        let fields: HTTPFields = [.setCookie: text]
        facts.informational = [InformationalResponse(status: .earlyHints, fields: ReceivedFields(fields))]
        watchers.show(facts)
        watchers.show(ResponseBody(bytes))
        #expect(watchers.leaks == [])
        // Nor as the hexadecimal digits of a buffer.
        let digits = text.utf8.map { String($0, radix: 16) }.joined()
        #expect(watchers.shown.withLock { $0.filter { $0.contains(digits) } } == [])
    }
}
