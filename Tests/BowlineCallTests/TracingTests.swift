import BowlineCore
import BowlineTesting
import InMemoryTracing
import Testing
import Tracing

@testable import BowlineCall

@Suite("Tracing", .timeLimit(.minutes(1)))
struct TracingTests {
    private let tracer = InMemoryTracer()
    private let stub = StubTransport()

    private func send(
        _ request: ServiceRequest, context: RequestContext = RequestContext()
    ) async throws -> ServiceResponse {
        var request = request
        request.url = try ServiceURL("https://api.example.com:8443").appending(request.reference)
        let tracing = try #require(withTracer(tracer) { AttemptTracing() })
        let next = try TestRoad { $0.tracing = tracing }.over(stub)
        return try await next(request, context: context)
    }

    private func attributes(_ span: FinishedInMemorySpan) -> [String: String] {
        var found: [String: String] = [:]
        span.attributes.forEach { name, value in
            switch value {
            case .int32(let number): found[name] = "\(number)"
            case .int64(let number): found[name] = "\(number)"
            case .string(let text): found[name] = text
            case .bool(let flag): found[name] = "\(flag)"
            default: found[name] = "\(value)"
            }
        }
        return found
    }

    @Test("one CLIENT span per attempt, with OpenTelemetry's names for HTTP")
    func names() async throws {
        stub.on(.get, "/users/42", inOrder: [.respond(.ok)])
        var request = ServiceRequest.get("/users/42?page=7&token=canary&canary&=canary&empty=")
        request.options.targetTemplate = "/users/{id}"
        _ = try await send(request)
        let span = try #require(tracer.finishedSpans.first)
        #expect(tracer.finishedSpans.count == 1)
        #expect(tracer.activeSpans.isEmpty)
        #expect(span.operationName == "GET /users/{id}")
        #expect(span.kind == .client)
        #expect(span.status == nil)
        #expect(span.errors.isEmpty)
        let url = "https://api.example.com:8443/users/42?page=REDACTED&token=REDACTED&REDACTED&=REDACTED&empty=REDACTED"
        #expect(
            attributes(span) == [
                "http.request.method": "GET", "url.template": "/users/{id}", "server.address": "api.example.com",
                "server.port": "8443", "http.response.status_code": "200", "url.full": url,
            ])
    }

    @Test(
        "A span's name is the method if it is known, and the template if there is one",
        arguments: [
            (HTTPRequest.Method.post, nil, "POST"), (.post, "orders", "POST orders"),
            (HTTPRequest.Method("BREW")!, nil, "HTTP"), (HTTPRequest.Method("BREW")!, "pot", "HTTP pot"),
        ] as [(HTTPRequest.Method, String?, String)])
    func operationName(method: HTTPRequest.Method, template: String?, name: String) async throws {
        stub.on(nil, "/orders/1", inOrder: [.respond(.ok)])
        var request = ServiceRequest(method: method, "/orders/1")
        request.options.targetTemplate = template
        _ = try await send(request)
        let span = try #require(tracer.finishedSpans.first)
        #expect(span.operationName == name)
        let isKnown = method == .post
        #expect(attributes(span)["http.request.method"] == (isKnown ? "POST" : "_OTHER"))
        #expect(attributes(span)["http.request.method_original"] == (isKnown ? nil : "BREW"))
    }

    @Test("http.request.resend_count counts earlier sendings of the call, and is absent on the first attempt")
    func resendCount() async throws {
        stub.on(.get, "/", always: .respond(.ok))
        let context = RequestContext()
        // The attempt number starts again on each hop; the resend count continues.
        for _ in 1...3 { _ = try await send(.get("/"), context: context) }
        #expect(tracer.finishedSpans.map { attributes($0)["http.request.resend_count"] } == [nil, "1", "2"])
    }

    @Test("Each attempt sends its own span's context to the service in header fields")
    func injection() async throws {
        stub.on(.get, "/", inOrder: [.respond(.ok), .respond(.ok)])
        for attempt in 1...2 { _ = try await send(.get("/"), context: RequestContext(attempt: attempt)) }
        let key = try #require(HTTPField.Name(InMemoryTracer.spanIDKey))
        let sent = stub.calls.map { $0.fields[key] }
        #expect(sent == tracer.finishedSpans.map { $0.spanID })
        #expect(Set(sent).count == 2)
    }

    @Test("Attempt spans are children of the task's span, and spans inside an attempt are their children")
    func context() async throws {
        stub.on(.get, "/") { [tracer] _ in
            withTracer(tracer) { withSpan("inside") { _ in StubAnswer.respond(.ok) } }
        }
        try await withTracer(tracer) {
            try await withSpan("outside") { _ in _ = try await send(.get("/")) }
        }
        let spans = Dictionary(uniqueKeysWithValues: tracer.finishedSpans.map { ($0.operationName, $0) })
        #expect(spans["GET"]?.parentSpanID == spans["outside"]?.spanID)
        #expect(spans["outside"] != nil)
        #expect(spans["inside"]?.parentSpanID == spans["GET"]?.spanID)
        #expect(spans["inside"] != nil)
    }

    @Test("A status of 400 or above makes the span an error of that type", arguments: [399, 400, 404, 500])
    func statuses(code: Int) async throws {
        stub.on(.get, "/", inOrder: [.respond(HTTPResponse.Status(code: code))])
        _ = try await send(.get("/"))
        let span = try #require(tracer.finishedSpans.first)
        #expect((span.status?.code == .error) == (code >= 400))
        #expect(attributes(span)["error.type"] == (code >= 400 ? "\(code)" : nil))
        #expect(attributes(span)["http.response.status_code"] == "\(code)")
    }

    @Test("A failure ends the span as an error with the code or the type, without the error's text")
    func failures() async throws {
        struct Custom: Error { let secret = "canary" }
        stub.on(
            .get, "/",
            inOrder: [
                .fail(.connectionClosed, progress: .ambiguous, message: "canary"), .respond { _ in throw Custom() },
            ])
        for _ in 1...2 { await #expect(throws: (any Error).self) { try await send(.get("/")) } }
        let found = tracer.finishedSpans.map(attributes)
        #expect(found.first?["error.type"] == "connectionClosed")
        #expect(found.first?["bowline.progress"] == "ambiguous")
        #expect(found.last?["error.type"]?.hasSuffix("Custom") == true)
        #expect(tracer.finishedSpans.allSatisfy { $0.status?.code == .error && $0.errors.isEmpty })
        #expect(!"\(found) \(tracer.finishedSpans.map { $0.status })".contains("canary"))
    }

    @Test("A cancellation is not an error: the span ends and is marked as cancelled")
    func cancellation() async throws {
        let gate = Gate()
        stub.on(.get, "/", inOrder: [.respond(.ok).held(by: gate)])
        let task = Task { try await send(.get("/")) }
        try await gate.waitForWaiters(count: 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let span = try #require(tracer.finishedSpans.first)
        #expect(span.status == nil)
        #expect(span.errors.isEmpty)
        #expect(attributes(span)["error.type"] == nil)
        #expect(attributes(span)["bowline.cancelled"] == "true")
    }

    @Test("Without a tracer no spans are made")
    func noTracer() {
        #expect(AttemptTracing() == nil)
        #expect(withTracer(NoOpTracer()) { AttemptTracing() } == nil)
    }

    @Test("url.full is cut to 2 KiB")
    func longURL() async throws {
        stub.on(.get, "/x", inOrder: [.respond(.ok)])
        _ = try await send(.get("/x?" + String(repeating: "name=value&", count: 1000)))
        let span = try #require(tracer.finishedSpans.first)
        #expect(attributes(span)["url.full"]?.utf8.count == RedactedURL.limit)
    }
}
