import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Redirects", .timeLimit(.minutes(1)))
struct RedirectTests {
    private let stub = StubTransport()

    private func send(
        _ request: ServiceRequest, context: RequestContext = RequestContext(),
        _ change: (inout RedirectOptions) -> Void = { _ in }
    ) async throws -> ServiceResponse {
        var options = RedirectOptions()
        change(&options)
        return try await stub.send(request, along: TestRoad { $0.redirect = options }, context: context)
    }

    private func redirect(_ from: String, _ status: Int, to location: String) {
        stub.on(nil, from, always: .respond(.init(code: status), fields: [.location: location], body: "moved"))
    }

    private func error(
        _ request: ServiceRequest, _ change: (inout RedirectOptions) -> Void = { _ in }
    ) async -> ServiceError? {
        await serviceError { try await send(request, change) }
    }

    struct Rewrite: Sendable {
        let statuses: [Int]
        let from: HTTPRequest.Method
        let to: HTTPRequest.Method
        let keepsBody: Bool
    }

    static let rewrites: [Rewrite] = [
        Rewrite(statuses: [301, 302, 303], from: .post, to: .get, keepsBody: false),
        Rewrite(statuses: [303], from: .put, to: .get, keepsBody: false),
        Rewrite(statuses: [303], from: .delete, to: .get, keepsBody: false),
        Rewrite(statuses: [303], from: .patch, to: .get, keepsBody: false),
        Rewrite(statuses: [301, 302, 307, 308], from: .put, to: .put, keepsBody: true),
        Rewrite(statuses: [301, 302, 307, 308], from: .patch, to: .patch, keepsBody: true),
        Rewrite(statuses: [301, 302, 307, 308], from: .delete, to: .delete, keepsBody: true),
        Rewrite(statuses: [307, 308], from: .post, to: .post, keepsBody: true),
        Rewrite(statuses: [301, 302, 303, 307, 308], from: .get, to: .get, keepsBody: false),
        Rewrite(statuses: [301, 302, 303, 307, 308], from: .head, to: .head, keepsBody: false),
        Rewrite(statuses: [301, 302, 307, 308], from: .options, to: .options, keepsBody: true),
    ]

    @Test(
        "301 and 302 turn POST into GET, 303 all but HEAD, 307 and 308 nothing; a dropped body drops its fields",
        .tags(.RD1),
        arguments: rewrites)
    func methods(rewrite: Rewrite) async throws {
        for status in rewrite.statuses {
            let stub = StubTransport()
            stub.on(nil, "/a", always: .respond(.init(code: status), fields: [.location: "/b"]))
            stub.on(nil, "/b", always: .respond(.ok))
            let hasBody = rewrite.from != .get && rewrite.from != .head
            let request = ServiceRequest(
                method: rewrite.from, "http://api.example/a",
                fields: [
                    .contentType: "text/plain", .contentLanguage: "en", .contentEncoding: "identity",
                    .contentLength: "4", .accept: "*/*",
                ], body: hasBody ? .text("body") : .none)
            let response = try await stub.send(request, along: TestRoad { $0.redirect = RedirectOptions() })
            #expect(response.status == .ok)
            #expect(response.facts.redirects.map(\.path) == ["/b"])
            let hop = try #require(stub.calls.last)
            #expect(hop.method == rewrite.to, "\(status)")
            #expect(hop.bodyText == (rewrite.keepsBody ? "body" : ""), "\(status)")
            #expect(hop.fields[.accept] == "*/*")
            let isSame = rewrite.from == rewrite.to && status != 303
            for name in [HTTPField.Name.contentType, .contentLanguage, .contentEncoding, .contentLength] {
                #expect(hop.fields.contains(name) == isSame, "\(status) \(name)")
            }
        }
    }

    @Test(
        "Other statuses with a Location are returned to the caller", .tags(.RD6),
        arguments: [200, 201, 204, 300, 304, 305, 306, 309, 399, 401, 503])
    func notFollowed(status: Int) async throws {
        redirect("/a", status, to: "/b")
        let response = try await send(.get("http://api.example/a"))
        #expect(response.status.code == status)
        #expect(stub.calls.count == 1)
        #expect(response.facts.redirects.isEmpty)
    }

    @Test(
        "A redirect without a Location, or with an empty one, is returned to the caller with its body unread",
        .tags(.RD5))
    func nowhere() async throws {
        stub.on(.get, "/missing", always: .respond(.found, body: "text"))
        redirect("/empty", 302, to: "")
        let response = try await send(.get("http://api.example/missing"))
        #expect(response.status == .found)
        #expect(String(buffer: try await response.body.collect(upTo: 100)) == "text")
        #expect(try await send(.get("http://api.example/empty")).status == .found)
    }

    @Test("several Locations are followed if they agree, and refused if they differ", .tags(.RD5))
    func severalLocations() async throws {
        var same = HTTPFields()
        same[values: .location] = ["/b", "/b"]
        var different = HTTPFields()
        different[values: .location] = ["/b", "/c"]
        stub.on(.get, "/same", always: .respond(.found, fields: same))
        stub.on(.get, "/different", always: .respond(.found, fields: different))
        stub.on(.get, "/b", always: .respond(.ok))
        #expect(try await send(.get("http://api.example/same")).status == .ok)
        let error = await error(.get("http://api.example/different"))
        #expect(error?.code == .redirectRefused)
    }

    @Test("a Location whose bytes are not UTF-8 is asked for with those bytes", .tags(.RD5))
    func rawBytes() async throws {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .location, value: [0x2F, 0xE4, 0x2F, 0x62]))
        stub.on(.get, "/a", always: .respond(.found, fields: fields))
        stub.on(.get, "/%E4/b", always: .respond(.ok))
        #expect(try await send(.get("http://api.example/a")).status == .ok)
    }

    @Test(
        "A Location that is not a valid URL fails the call, and the error names no part of it", .tags(.RD3, .RD5, .RD7),
        arguments: [
            "http://user:secret@other/", "http:secret", "/secret\u{7F}",
            "/secret" + String(repeating: "a", count: 8 << 20), "http+unix://%2Fsecret.sock/",
        ])
    func refusedLocation(location: String) async throws {
        redirect("/a", 302, to: location)
        let refusal = try #require(await error(.get("http://api.example/a")))
        // `HTTPField` itself replaces a control character by a space.
        if refusal.code == .noStubbedRoute { return }
        #expect(refusal.code == .redirectRefused)
        #expect(refusal.progress == .responseStarted)
        #expect(refusal.attempts == 1)
        #expect(refusal.requestsSent == 1)
        #expect(refusal.origin == "http://api.example:80")
        #expect(!refusal.description.contains("secret"))
    }

    @Test(
        "A redirect to an unsupported scheme is returned to the caller, after any number of hops", .tags(.RD7),
        arguments: [
            "myapp://callback?code=1", "mailto:ada@example.com", "ftp://other/", "javascript:x()", "data:text/plain,x",
            "MyApp:x", "tel:+441", "intent://x#Intent;end", "urn:isbn:1", "a+b-c.1:x", "ws://other/",
        ])
    func foreignScheme(location: String) async throws {
        redirect("/a", 302, to: "/b")
        redirect("/b", 307, to: location)
        let response = try await send(.get("http://api.example/a")) { $0.maximum = 1 }
        #expect(response.status.code == 307)
        #expect(response.receivedFields[.location] == location)
        #expect(response.facts.redirects.map(\.path) == ["/b"])
        #expect(stub.calls.count == 2)
    }

    @Test("Locations whose bytes differ only in their normal form are refused", .tags(.RD5))
    func locationsByBytes() async throws {
        var fields = HTTPFields()
        fields[values: .location] = ["/\u{E9}", "/e\u{301}"]
        stub.on(.get, "/a", always: .respond(.found, fields: fields))
        let error = await error(.get("http://api.example/a"))
        #expect(error?.code == .redirectRefused)
        #expect(stub.calls.count == 1)
    }

    @Test("Neither of two Locations is followed if one has an unsupported scheme", .tags(.RD7))
    func foreignSchemeAmongOthers() async throws {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .location, value: "myapp://x"))
        fields.append(HTTPField(name: .location, value: "/b"))
        stub.on(.get, "/a", always: .respond(.found, fields: fields))
        #expect(await error(.get("http://api.example/a"))?.code == .redirectRefused)
        #expect(stub.calls.count == 1)
    }

    @Test("https to http is refused unless it is allowed; http to https is followed", .tags(.RD3))
    func downgrade() async throws {
        redirect("https://api.example/a", 302, to: "http://api.example/b")
        redirect("http://api.example/up", 302, to: "https://api.example/b")
        stub.on(.get, "/b", always: .respond(.ok))
        #expect(await error(.get("https://api.example/a"))?.code == .redirectRefused)
        #expect(stub.calls.count == 1)
        #expect(try await send(.get("https://api.example/a")) { $0.allowsDowngrade = true }.status == .ok)
        #expect(try await send(.get("http://api.example/up")).status == .ok)
    }

    @Test("A redirect does not lead to a Unix domain socket other than its own", .tags(.RD3))
    func sockets() async throws {
        redirect("http+unix://%2Frun%2Fa.sock/out", 302, to: "http+unix://%2Frun%2Fb.sock/")
        redirect("http+unix://%2Frun%2Fa.sock/same", 302, to: "http+unix://%2Frun%2Fa.sock/end")
        redirect("http+unix://%2Frun%2Fa.sock/self", 302, to: "http://localhost/end")
        stub.on(.get, "http+unix://%2Frun%2Fa.sock/end", always: .respond(.ok))
        #expect(await error(.get("http+unix://%2Frun%2Fa.sock/out"))?.code == .redirectRefused)
        #expect(try await send(.get("http+unix://%2Frun%2Fa.sock/same")).status == .ok)
        let request = ServiceRequest(
            "http+unix://%2Frun%2Fa.sock/self", fields: [.authorization: "mine"])
        #expect(try await send(request).status == .ok)
        #expect(stub.calls.last?.fields[.authorization] == "mine")
    }

    // MARK: Ends

    @Test("a loop ends after redirect.maximum hops with tooManyRedirects", .tags(.RD4), arguments: [1, 3, 10])
    func loop(maximum: Int) async throws {
        redirect("/a", 302, to: "/b")
        redirect("/b", 302, to: "/a")
        let end = try #require(await error(.get("http://api.example/a")) { $0.maximum = maximum })
        #expect(end.code == .tooManyRedirects)
        #expect(end.progress == .responseStarted)
        #expect(end.attempts == 1)
        #expect(end.requestsSent == maximum + 1)
        #expect(stub.calls.count == maximum + 1)
    }

    @Test("the same URL may come again: a service that redirects to itself until it is ready is followed", .tags(.RD4))
    func sameURL() async throws {
        let again = StubAnswer.respond(.found, fields: [.location: "/a"])
        stub.on(.get, "/a", inOrder: [again, again, .respond(.ok)])
        let response = try await send(.get("http://api.example/a"))
        #expect(response.status == .ok)
        #expect(response.facts.redirects.count == 2)
    }

    @Test("exactly redirect.maximum hops are followed", .tags(.RD4))
    func atTheLimit() async throws {
        redirect("/0", 302, to: "/1")
        redirect("/1", 302, to: "/2")
        stub.on(.get, "/2", always: .respond(.ok))
        #expect(try await send(.get("http://api.example/0")) { $0.maximum = 2 }.status == .ok)
    }

    @Test("a redirect.maximum of 0 leaves redirects to the caller; a request's own options win over the client's")
    func switchedOff() async throws {
        redirect("/a", 302, to: "/b")
        stub.on(.get, "/b", always: .respond(.ok))
        #expect(try await send(.get("http://api.example/a")) { $0.maximum = 0 }.status == .found)
        var request = ServiceRequest.get("http://api.example/a")
        request.options.redirect = .never
        #expect(try await send(request).status == .found)
        request.options.redirect = RedirectOverrides()
        #expect(try await send(request) { $0.maximum = 0 }.status == .found)
        request.options.redirect.maximum = 1
        #expect(try await send(request) { $0.maximum = 0 }.status == .ok)
    }

    @Test(
        "A used one-shot body stops at 307 and 308 with the response; redirects that drop the body are followed",
        .tags(.RD1))
    func oneShotBody() async throws {
        redirect("/307", 307, to: "/b")
        redirect("/308", 308, to: "/b")
        redirect("/303", 303, to: "/b")
        stub.on(nil, "/b", always: .respond(.ok))
        for (path, status) in [("/307", 307), ("/308", 308), ("/303", 200)] {
            let chunks = AsyncStream<ByteBuffer> { stream in
                stream.yield(ByteBuffer(string: "once"))
                stream.finish()
            }
            let response = try await send(.post("http://api.example\(path)", body: .stream(chunks)))
            #expect(response.status.code == status)
        }
        #expect(stub.calls.map(\.method) == [.post, .post, .post, .get])
    }

    @Test("a replayable body is sent to each hop whole")
    func replayableBody() async throws {
        redirect("/a", 307, to: "/b")
        redirect("/b", 308, to: "/c")
        stub.on(.post, "/c", always: .respond(.ok))
        let body = RequestBody.replayable {
            AsyncStream<ByteBuffer> { stream in
                stream.yield(ByteBuffer(string: "all"))
                stream.finish()
            }
        }
        _ = try await send(.post("http://api.example/a", body: body))
        #expect(stub.calls.map(\.bodyText) == ["all", "all", "all"])
    }

    @Test("The body of a redirect is abandoned before the next hop", .tags(.RD7))
    func discarded() async throws {
        let end = BodyEnd()
        stub.on(.get, "/a") { _ in
            let body = ResponseBody(AsyncStream<ByteBuffer> { _ in })
            body.observeEnd(end)
            return .respond(ServiceResponse(status: .found, fields: [.location: "/b"], body: body))
        }
        stub.on(.get, "/b") { _ in .respond(end.gate.isOpen ? .ok : .conflict) }
        #expect(try await send(.get("http://api.example/a")).status == .ok)
    }

    @Test("cancelling between hops ends the call: the next hop is not sent", .tags(.CA11))
    func cancelled() async throws {
        let reached = Gate()
        let count = Shared(0)
        let transport = ClosureTransport {
            count.change { $0 += 1 }
            reached.open()
            // The redirect does not throw: the response is returned although the task is cancelled.
            while !Task.isCancelled { await Task.yield() }
            return ServiceResponse(status: .found, fields: [.location: "/b"])
        }
        var request = ServiceRequest.get("http://api.example/a")
        request.url = try ServiceURL("http://api.example/a")
        let next = try TestRoad { $0.redirect = RedirectOptions() }.over(transport)
        let sent = Task { [request] in try await next(request, context: RequestContext()) }
        try await reached.wait()
        sent.cancel()
        await #expect(throws: CancellationError.self) { try await sent.value }
        #expect(count.value == 1)
    }

    @Test(
        "attempts count from 1 on each hop, the deadline is the call's, and the response says where it led", .tags(.RD7)
    )
    func facts() async throws {
        stub.on(.get, "/a") { _ in
            var facts = ResponseFacts()
            facts.attempts = 3
            let location = "http://other.example/b?q=1"
            return .respond(ServiceResponse(status: .found, fields: [.location: location], facts: facts))
        }
        redirect("http://other.example/b", 301, to: "/c")
        stub.on(.get, "/c", always: .respond(.ok))
        let deadline = Deadline(MonotonicInstant(nanoseconds: 7))
        let response = try await send(
            .get("http://api.example/a"), context: RequestContext(deadline: deadline, clock: TestClock()))
        #expect(stub.calls.map(\.attempt) == [1, 1, 1])
        #expect(stub.calls.allSatisfy { $0.context.deadline == deadline })
        #expect(response.attempts == 1)
        #expect(response.requestsSent == 3)
        #expect(response.description.hasSuffix(", 2 redirects, 3 requests sent"))
        #expect(
            response.facts.redirects.map(\.description) == ["http://other.example:80/b", "http://other.example:80/c"])
    }

    @Test("a hop's retries are its own: attempts are those of the last hop, requestsSent counts them all", .tags(.RD7))
    func retriesOnHops() async throws {
        stub.on(.get, "/a", inOrder: [.respond(.serviceUnavailable), .respond(.found, fields: [.location: "/b"])])
        let busy = StubAnswer.respond(.serviceUnavailable)
        stub.on(.get, "/b", inOrder: [busy, busy, .respond(.ok, body: "end")])
        var options = RetryOptions()
        options.baseDelay = .zero
        let clock = TestClock()
        let decisions = Shared<[Int]>([])
        options.onDecision = { decision in decisions.change { $0.append(decision.attempt) } }
        let road = TestRoad {
            $0.retry = options
            $0.redirect = RedirectOptions()
            $0.clock = clock
            $0.random = { 0 }
        }
        let response = try await stub.send(.get("http://api.example/a"), along: road)
        #expect(try await response.text() == "end")
        #expect(stub.calls.map(\.attempt) == [1, 2, 1, 2, 3])
        #expect(decisions.value == [1, 1, 2])
        #expect(response.facts.redirects.count == 1)
        #expect(response.attempts == 3)
        #expect(response.requestsSent == 5)
    }

    @Test("the error of a later hop has that hop's attempts, and all requests that were sent", .tags(.RD7))
    func errorOnHop() async throws {
        redirect("/a", 302, to: "/b")
        stub.on(.get, "/b", always: .fail(.connectionClosed, progress: .ambiguous, message: "gone"))
        let error = try #require(await error(.get("http://api.example/a")))
        #expect(error.code == .connectionClosed)
        #expect(error.requestsSent == 2)
    }

    // MARK: Credentials

    static let origins = [
        "http://api.example:8080/b", "https://api.example/b", "http://other.example/b", "http://api.example.evil/b",
        "//other.example/b", "http://127.0.0.1/b",
    ]

    @Test(
        "Authorization, Cookie, Proxy-Authorization and Host do not go to another scheme, host or port",
        .tags(.RD2, .I9),
        arguments: origins)
    func stripped(location: String) async throws {
        let key = try #require(HTTPField.Name("X-Api-Key"))
        redirect("http://api.example/a", 307, to: location)
        stub.on(nil, "/b", always: .respond(.ok))
        var request = ServiceRequest.post("http://api.example/a", body: .text("x"))
        request.fields = [
            .authorization: "secret", .cookie: "secret", .proxyAuthorization: "secret", key: "secret", .accept: "*/*",
            .contentType: "text/plain",
        ]
        try request.setField("Host", "virtual.example")
        _ = try await send(request) { $0.sensitiveFields = [key] }
        let hop = try #require(stub.calls.last)
        #expect(!hop.fields.contains { $0.value == "secret" || $0.value == "virtual.example" })
        #expect(hop.fields[.accept] == "*/*")
        #expect(hop.fields[.contentType] == "text/plain")
        #expect(hop.bodyText == "x")
    }

    @Test(
        "Credentials stay on the same origin, however the origin is spelled", .tags(.RD2),
        arguments: [
            "/b", "b", "//api.example/b", "http://API.example:80/b", "?q#f",
        ])
    func kept(location: String) async throws {
        redirect("http://api.example/a", 302, to: location)
        stub.on(.get, "/b", always: .respond(.ok))
        stub.on(.get, "/a?q", always: .respond(.ok))
        _ = try await send(ServiceRequest("http://api.example/a", fields: [.authorization: "a", .cookie: "c"]))
        #expect(stub.calls.last?.fields[.authorization] == "a")
        #expect(stub.calls.last?.fields[.cookie] == "c")
    }

    @Test("Credentials that were removed do not return on a later hop to the first origin", .tags(.RD2, .I9))
    func notRestored() async throws {
        redirect("http://api.example/a", 302, to: "http://other.example/b")
        redirect("http://other.example/b", 302, to: "http://api.example/c")
        redirect("http://api.example/c", 302, to: "/d")
        stub.on(.get, "http://api.example/d", always: .respond(.ok))
        _ = try await send(ServiceRequest("http://api.example/a", fields: [.authorization: "a", .cookie: "c"]))
        #expect(stub.calls.map { $0.fields.contains(.authorization) } == [true, false, false, false])
        #expect(stub.calls.map { $0.fields.contains(.cookie) } == [true, false, false, false])
    }
}
