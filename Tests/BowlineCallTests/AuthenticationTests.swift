import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Authentication", .timeLimit(.minutes(1)))
struct AuthenticationTests {
    private let stub = StubTransport()
    private let clock = TestClock()
    private let budgets = RetryBudgets()

    private func road(
        _ authenticator: any RequestAuthenticator, origins: [String] = ["http://api.example"],
        redirect: RedirectOptions = .never
    ) -> TestRoad {
        TestRoad {
            $0.authenticator = authenticator
            $0.origins = origins
            $0.redirect = redirect
            $0.budgets = budgets
            $0.clock = clock
        }
    }

    private func send(
        _ request: ServiceRequest = .get("http://api.example/a"), with authenticator: any RequestAuthenticator,
        context: RequestContext = RequestContext()
    ) async throws -> ServiceResponse {
        try await stub.send(request, along: road(authenticator), context: context)
    }

    /// Each request takes a second, so that a refused token is old enough to be replaced.
    private func answer(_ statuses: HTTPResponse.Status..., body: String = "") {
        let count = Shared(0)
        stub.on(nil, "/a") { [clock] _ in
            clock.advance(by: .seconds(1))
            let index = count.change { count in
                count += 1
                return count - 1
            }
            let status = statuses[min(index, statuses.count - 1)]
            return .respond(status, body: body)
        }
    }

    private var sent: [String?] { stub.calls.map { $0.fields[.authorization] } }

    // MARK: Basic

    @Test(
        "Basic: user and password as UTF-8 in base64 (RFC 7617)",
        arguments: [
            ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ("test", "123£", "dGVzdDoxMjPCow=="),
            ("", "", "Og=="), ("a", "", "YTo="), ("ab", "", "YWI6"), ("user", "a:b:c", "dXNlcjphOmI6Yw=="),
        ])
    func basic(user: String, password: String, encoded: String) async throws {
        stub.on(.get, "/a", always: .respond(.ok))
        _ = try await send(with: BasicAuthentication(user: user, password: password))
        #expect(sent == ["Basic \(encoded)"])
    }

    @Test(
        "Basic: a colon in the user name and control characters are refused; the error does not repeat them",
        arguments: [
            ("us:er", "secret"), ("us\ner", "secret"), ("user", "sec\rret"), ("user", "\0secret"), ("\u{7F}", "secret"),
        ])
    func badBasic(user: String, password: String) {
        let error = #expect(throws: ServiceError.self) { try BasicAuthentication(user: user, password: password) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.description.contains("secret") == false)
    }

    @Test("No description, mirror or dump contains a credential")
    func secrets() async throws {
        let authenticators: [any RequestAuthenticator] = [
            try BasicAuthentication(user: "canary", password: "canary"), try BearerAuthentication(token: "canary"),
            BearerAuthentication { BearerToken("canary") },
        ]
        for value in authenticators.map({ $0 as Any }) + [BearerToken("canary", lifetime: .seconds(1))] {
            var dumped = ""
            dump(value, to: &dumped)
            for text in ["\(value)", String(reflecting: value), dumped] {
                #expect(!text.contains("canary"), "\(type(of: value))")
                #expect(!text.contains("Y2FuYXJ5"), "\(type(of: value))")
            }
        }
    }

    // MARK: Where and when

    @Test("Credentials go only to the origins they were given for; the caller's own field stays")
    func origins() async throws {
        stub.on(.get, "/a", always: .respond(.ok))
        let road = try road(
            BearerAuthentication(token: "t"), origins: ["http://api.example", "https://files.example"])
        for url in [
            "http://api.example/a", "https://files.example/a", "https://api.example/a", "http://api.example:81/a",
            "http://files.example/a", "http://other.example/a",
        ] {
            _ = try await stub.send(.get(url), along: road)
        }
        #expect(sent == ["Bearer t", "Bearer t", nil, nil, nil, nil])
        _ = try await stub.send(
            ServiceRequest("http://api.example/a", fields: [.authorization: "mine"]), along: road)
        #expect(sent.last == "mine")
        var request = ServiceRequest.get("http://api.example/a")
        request.options.authenticates = false
        _ = try await stub.send(request, along: road)
        #expect(sent.last == .some(nil))
    }

    @Test(
        "A redirect to another origin and back is not signed; redirects between trusted origins are",
        .tags(.RD2))
    func redirects() async throws {
        stub.on(.get, "http://api.example/a", always: .respond(.found, fields: [.location: "http://evil.example/b"]))
        stub.on(.get, "http://evil.example/b", always: .respond(.found, fields: [.location: "http://api.example/c"]))
        stub.on(.get, "/c", always: .respond(.ok))
        let redirect = RedirectOptions()
        let bearer = try BearerAuthentication(token: "t")
        _ = try await stub.send(.get("http://api.example/a"), along: road(bearer, redirect: redirect))
        #expect(sent == ["Bearer t", nil, nil])
        let trusted = road(bearer, origins: ["http://api.example", "http://evil.example"], redirect: redirect)
        _ = try await stub.send(.get("http://api.example/a"), along: trusted)
        #expect(sent.dropFirst(3) == ["Bearer t", "Bearer t", "Bearer t"])
    }

    @Test("A signing hook sees each attempt as it is sent; its error becomes authenticationFailed, and nothing is sent")
    func signing() async throws {
        struct Broken: Error {}
        let signature = try #require(HTTPField.Name("Signature"))
        stub.on(nil, "/a", always: .respond(.found, fields: [.location: "/b"]))
        stub.on(nil, "/b", always: .respond(.ok))
        let signer = SigningAuthentication { request, context in
            request.fields[signature] = "\(request.method) \(request.url?.path ?? "") \(context.attempt)"
        }
        let request = ServiceRequest.post("http://api.example/a", body: .text("x"))
        _ = try await stub.send(request, along: road(signer, redirect: RedirectOptions()))
        #expect(stub.calls.map { $0.fields[signature] } == ["POST /a 1", "GET /b 1"])
        let error = await serviceError { try await send(with: SigningAuthentication { _, _ in throw Broken() }) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.underlying is Broken)
        #expect(error?.progress == .neverSent)
        #expect(error?.attempts == 1)
        #expect(error?.origin == "http://api.example:80")
        #expect(stub.calls.count == 2)
    }

    // MARK: 401

    /// Returns the tokens `t1`, `t2` and so on.
    private final class Tokens: Sendable {
        private let count = Shared(0)
        let lifetime: Duration?

        init(lifetime: Duration? = nil) {
            self.lifetime = lifetime
        }

        var fetched: Int { count.value }

        func next() -> BearerToken {
            let number = count.change { count in
                count += 1
                return count
            }
            return BearerToken("t\(number)", lifetime: lifetime)
        }
    }

    @Test("a 401 with a body that can be sent again gets one more attempt with a new token, once")
    func refreshed() async throws {
        let tokens = Tokens()
        let bearer = BearerAuthentication { tokens.next() }
        answer(.unauthorized, .ok)
        let request = ServiceRequest.post("http://api.example/a", body: .text("x"))
        let response = try await send(request, with: bearer)
        #expect(response.status == .ok)
        #expect(response.facts.attempts == 2)
        #expect(sent == ["Bearer t1", "Bearer t2"])
        #expect(stub.calls.map(\.bodyText) == ["x", "x"])
        _ = try await send(request, with: bearer)
        #expect(sent.last == "Bearer t2")
        answer(.unauthorized, body: "never")
        let refused = try await send(request, with: bearer)
        #expect(refused.status == .unauthorized)
        #expect(String(buffer: try await refused.body.collect(upTo: 10)) == "never")
        #expect(sent.dropFirst(3) == ["Bearer t2", "Bearer t3"])
    }

    @Test("After a 401 to a one-shot body, the caller gets the 401 and the next request gets a new token")
    func oneShot() async throws {
        let tokens = Tokens()
        let bearer = BearerAuthentication { tokens.next() }
        answer(.unauthorized)
        let chunks = AsyncStream<ByteBuffer> { stream in
            stream.yield(ByteBuffer(string: "once"))
            stream.finish()
        }
        let response = try await send(.post("http://api.example/a", body: .stream(chunks)), with: bearer)
        #expect(response.status == .unauthorized)
        #expect(sent == ["Bearer t1"])
        stub.on(nil, "/a", always: .respond(.ok))
        _ = try await send(with: bearer)
        #expect(sent == ["Bearer t1", "Bearer t2"])
    }

    @Test(
        "Without another credential the caller gets the 401 with its body: Basic, a fixed token, the same token again"
    )
    func noOther() async throws {
        answer(.unauthorized, body: "why")
        let authenticators: [any RequestAuthenticator] = [
            try BasicAuthentication(user: "u", password: "p"), try BearerAuthentication(token: "t"),
            BearerAuthentication { BearerToken("same") },
        ]
        for (index, authenticator) in authenticators.enumerated() {
            let response = try await send(with: authenticator)
            #expect(response.status == .unauthorized)
            #expect(String(buffer: try await response.body.collect(upTo: 10)) == "why")
            #expect(stub.calls.count == index + 1)
        }
    }

    @Test("A source that throws after a 401 fails the request, and the error says that the service has responded")
    func refreshFails() async throws {
        struct Broken: Error {}
        let tokens = Tokens()
        let bearer = BearerAuthentication {
            guard tokens.fetched == 0 else { throw Broken() }
            return tokens.next()
        }
        answer(.unauthorized)
        let error = await serviceError { try await send(with: bearer) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.underlying is Broken)
        #expect(error?.progress == .responseStarted)
    }

    @Test("a token that is refused within a second of its fetch is kept: no second fetch, no second request")
    func youngToken() async throws {
        let tokens = Tokens()
        let bearer = BearerAuthentication { tokens.next() }
        stub.on(nil, "/a", always: .respond(.unauthorized, body: "why"))
        for _ in 0..<20 { #expect(try await send(with: bearer).status == .unauthorized) }
        #expect(tokens.fetched == 1)
        #expect(stub.calls.count == 20)
        clock.advance(by: .seconds(1))
        for _ in 0..<20 { #expect(try await send(with: bearer).status == .unauthorized) }
        #expect(tokens.fetched == 2)
        #expect(stub.calls.count == 41)
    }

    @Test("A 401 whose body does not end is abandoned after 50 ms, and the request continues with the new token")
    func slowRefusal() async throws {
        let tokens = Tokens()
        let bearer = BearerAuthentication { tokens.next() }
        let (never, end) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        stub.on(nil, "/a") { [clock] call in
            clock.advance(by: .seconds(1))
            guard call.fields[.authorization] == "Bearer t1" else { return .respond(.ok) }
            return .respond(ServiceResponse(status: .unauthorized, body: ResponseBody(never)))
        }
        let sending = Task { try await send(with: bearer).status }
        // The requests that wait for the first token sleep too, for longer.
        try await eventually("the body's time to run") {
            clock.nextDeadline == clock.now.advanced(by: .milliseconds(50))
        }
        clock.advance(by: .milliseconds(50))
        #expect(try await sending.value == .ok)
        #expect(sent == ["Bearer t1", "Bearer t2"])
        end.finish()
    }

    @Test("An attempt number that middleware sets to the largest integer does not trap")
    func largestAttempt() async throws {
        let tokens = Tokens()
        let bearer = BearerAuthentication { tokens.next() }
        answer(.unauthorized, .ok)
        let response = try await send(with: bearer, context: RequestContext(attempt: .max))
        #expect(response.status == .ok)
        #expect(stub.calls.map(\.attempt) == [.max, .max])
    }

    // MARK: An authenticator of the user's

    private struct Hanging: RequestAuthenticator {
        let entered = Gate()
        let cancelled = Gate()

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            entered.open()
            defer { cancelled.open() }
            try await Gate().wait()
        }
    }

    @Test("The request's deadline ends an authenticator that hangs, and cancels it")
    func hangs() async throws {
        let hanging = Hanging()
        let context = RequestContext(deadline: Deadline(clock.now.advanced(by: .seconds(5))), clock: clock)
        let sending = Task { await serviceError { try await send(with: hanging, context: context) } }
        try await hanging.entered.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        let error = await sending.value
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.progress == .neverSent)
        #expect(error?.phase == .pipeline)
        try await hanging.cancelled.wait()
        #expect(stub.calls.isEmpty)
    }

    @Test("Cancelling a request whose authenticator hangs throws CancellationError")
    func hangsCancelled() async throws {
        let hanging = Hanging()
        let sending = Task { try await send(with: hanging) }
        try await hanging.entered.wait()
        sending.cancel()
        await #expect(throws: CancellationError.self) { try await sending.value }
        try await hanging.cancelled.wait()
    }

    @Test("An error of an authenticator's own client becomes ours: authenticationFailed, neverSent, this origin")
    func foreignErrors() async throws {
        let inner = ServiceError(
            .connectionRefused, "refused", progress: .ambiguous, attempts: 3, origin: "http://identity.example:80")
        let bearer = BearerAuthentication { throw inner }
        let error = await serviceError { try await send(with: bearer) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.progress == .neverSent)
        #expect(error?.origin == "http://api.example:80")
        #expect((error?.underlying as? ServiceError)?.code == .connectionRefused)
        let cancelling = BearerAuthentication { throw CancellationError() }
        let wrapped = await serviceError { try await send(with: cancelling) }
        #expect(wrapped?.code == .authenticationFailed)
        #expect(wrapped?.underlying is CancellationError)
    }
}
