import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Authenticators in a chain", .timeLimit(.minutes(1)))
struct ChainedAuthenticationTests {
    /// Says after each 401 that it has other credentials.
    private struct Claiming: RequestAuthenticator {
        let name: HTTPField.Name
        let asked = Shared(0)

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            request.fields[name] = "canary"
        }

        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
            asked.change { $0 += 1 }
            return true
        }
    }

    private let stub = StubTransport()
    private let clock = TestClock()
    private let budgets = RetryBudgets()
    private let signature = HTTPField.Name("X-Signature")!
    private let key = HTTPField.Name("X-Key")!
    private let fetched = Shared(0)

    /// Returns the tokens `t1`, `t2` and so on.
    private var bearer: BearerAuthentication {
        BearerAuthentication { [fetched] in
            let number = fetched.change { count in
                count += 1
                return count
            }
            return BearerToken("t\(number)")
        }
    }

    /// The signature is the signed text: the attempt, the token and the body.
    private var signer: SigningAuthentication {
        SigningAuthentication(bodyUpTo: 1 << 20) { [signature] request, context, body in
            let token = request.fields[.authorization] ?? "none"
            request.fields[signature] = "\(context.attempt) <\(token)> <\(String(buffer: body))>"
        }
    }

    private func road(_ authenticator: any RequestAuthenticator) -> TestRoad {
        TestRoad {
            $0.authenticator = authenticator
            $0.budgets = budgets
            $0.clock = clock
        }
    }

    /// A client's second sending and its credentials, with a retry budget that is empty from the beginning.
    private func pipeline(_ authenticator: any RequestAuthenticator) throws -> Next {
        var road = road(authenticator)
        road.retry.budget?.ratio = 0
        road.retry.budget?.perSecond = 0
        return try road.over(stub)
    }

    private func request(_ body: RequestBody = .text("hello")) throws -> ServiceRequest {
        var request = ServiceRequest.post("http://api.example/a", body: body)
        request.url = try ServiceURL(request.reference)
        return request
    }

    private func send(
        _ body: RequestBody = .text("hello"), with authenticator: any RequestAuthenticator
    ) async throws -> ServiceResponse {
        try await pipeline(authenticator)(request(body), context: RequestContext(clock: clock))
    }

    /// Refuses `tokens`, each a second after it was fetched: old enough to be replaced.
    private func refuse(_ tokens: Set<String>) {
        stub.on(nil, "/a") { [clock] call in
            clock.advance(by: .seconds(1))
            let token = call.fields[.authorization] ?? ""
            return .respond(tokens.contains(token) ? .unauthorized : .ok)
        }
    }

    private var tokens: [String?] { stub.calls.map { $0.fields[.authorization] } }
    private var signatures: [String?] { stub.calls.map { $0.fields[signature] } }

    @Test("each member adds what it adds, in order, and sees what those before it have added")
    func order() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let token = try BearerAuthentication(token: "t")
        _ = try await send(with: ChainedAuthentication(token, signer))
        _ = try await send(with: ChainedAuthentication([signer, token]))
        _ = try await send(with: ChainedAuthentication(Claiming(name: key), ChainedAuthentication(token, signer)))
        _ = try await send(with: ChainedAuthentication())
        #expect(tokens == ["Bearer t", "Bearer t", "Bearer t", nil])
        #expect(signatures == ["1 <Bearer t> <hello>", "1 <none> <hello>", "1 <Bearer t> <hello>", nil])
        #expect(stub.calls.map { $0.fields[key] } == [nil, nil, "canary", nil])
    }

    @Test("A signer in a chain reads a body that has not been produced yet, and the same bytes are sent")
    func bodies() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let chunks: @Sendable () -> AsyncStream<ByteBuffer> = {
            AsyncStream { stream in
                for text in ["he", "llo"] { stream.yield(ByteBuffer(string: text)) }
                stream.finish()
            }
        }
        for body in [RequestBody.stream(chunks()), .replayable { chunks() }] {
            _ = try await send(body, with: ChainedAuthentication(bearer, signer))
        }
        #expect(signatures == ["1 <Bearer t1> <hello>", "1 <Bearer t2> <hello>"])
        #expect(stub.calls.map(\.bodyText) == ["hello", "hello"])
    }

    @Test("after a 401 the signature covers the new token, and the empty retry budget does not matter")
    func freshToken() async throws {
        refuse(["Bearer t1"])
        let response = try await send(with: ChainedAuthentication(ChainedAuthentication(bearer), signer))
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
        #expect(signatures == ["1 <Bearer t1> <hello>", "2 <Bearer t2> <hello>"])
    }

    @Test(
        "A burst of requests with a revoked token makes one fetch, and every request is sent again with the new token")
    func burst() async throws {
        let count = 50
        let all = Gate()
        stub.on(nil, "/a") { call in
            guard call.fields[.authorization] == "Bearer t1" else { return .respond(.ok) }
            try await all.wait()
            return .respond(.unauthorized)
        }
        let pipeline = try pipeline(ChainedAuthentication(bearer, signer, Claiming(name: key)))
        let request = try request()
        let clock = clock
        try await withThrowingTaskGroup(of: ServiceResponse.self) { group in
            for _ in 0..<count { group.addTask { try await pipeline(request, context: RequestContext(clock: clock)) } }
            try await all.waitForWaiters(count: count)
            clock.advance(by: .seconds(1))
            all.open()
            for try await response in group {
                #expect(response.status == .ok)
                #expect(response.attempts == 2)
            }
        }
        #expect(fetched.value == 2)
        let fresh = stub.calls.filter { $0.fields[.authorization] == "Bearer t2" }
        #expect(fresh.count == count)
        #expect(Set(fresh.map { $0.fields[signature] }) == ["2 <Bearer t2> <hello>"])
    }

    @Test("A user's member that alone has another credential draws on the budget, which is empty here")
    func claimed() async throws {
        stub.on(nil, "/a", always: .respond(.unauthorized))
        let claiming = Claiming(name: key)
        let fixed = try BearerAuthentication(token: "t")
        for authenticator in [ChainedAuthentication(fixed, claiming), ChainedAuthentication([claiming, bearer])] {
            let response = try await send(with: authenticator)
            #expect(response.status == .unauthorized)
            #expect(response.attempts == 1)
        }
        #expect(claiming.asked.value == 2)
        // The bearer's token is less than a second old, so it is kept.
        #expect(tokens == ["Bearer t", "Bearer t1"])
    }

    @Test(
        "A bearer whose source returns the refused token again does not exempt another member's claim from the budget")
    func sameToken() async throws {
        refuse(["Bearer same"])
        let same = BearerAuthentication { BearerToken("same") }
        let response = try await send(with: ChainedAuthentication(same, Claiming(name: key)))
        #expect(response.status == .unauthorized)
        #expect(response.attempts == 1)
        #expect(tokens == ["Bearer same"])
    }

    @Test("A member's claim is sent again if the budget allows it, though the bearer has no other token")
    func granted() async throws {
        stub.on(nil, "/a", inOrder: [.respond(.unauthorized), .respond(.ok)])
        let chain = ChainedAuthentication(try BearerAuthentication(token: "t"), Claiming(name: key))
        let response = try await stub.send(request(), along: road(chain))
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
    }

    @Test("a member that rewrites the token's field does not keep a refused token from being replaced")
    func rewritten() async throws {
        refuse(["DPoP t1"])
        let proof = SigningAuthentication { request, _ in
            let token = request.fields[.authorization]?.dropFirst("Bearer ".count)
            request.fields[.authorization] = "DPoP \(token ?? "")"
        }
        let chain = ChainedAuthentication(bearer, proof)
        for _ in 1...2 {
            let response = try await send(with: chain)
            #expect(response.status == .ok)
        }
        #expect(tokens == ["DPoP t1", "DPoP t2", "DPoP t2"])
    }

    @Test("a member that throws fails the request; those after it are not asked, and nothing is sent")
    func throwing() async throws {
        struct Broken: Error {}
        let later = Shared(0)
        let chain = ChainedAuthentication(
            SigningAuthentication { _, _ in throw Broken() },
            SigningAuthentication { _, _ in later.change { $0 += 1 } })
        let error = await serviceError { try await send(with: chain) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.progress == .neverSent)
        #expect(error?.underlying is Broken)
        #expect(later.value == 0)
        #expect(stub.calls.isEmpty)
    }

    @Test("The request's deadline ends a user's member that hangs behind our members")
    func hanging() async throws {
        struct Hanging: RequestAuthenticator {
            let entered = Gate()

            func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
                entered.open()
                try await Gate().wait()
            }
        }
        let hanging = Hanging()
        let context = RequestContext(deadline: Deadline(clock.now.advanced(by: .seconds(5))), clock: clock)
        let pipeline = try pipeline(ChainedAuthentication(try BearerAuthentication(token: "t"), hanging))
        let request = try request()
        let sending = Task { await serviceError { try await pipeline(request, context: context) } }
        try await hanging.entered.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        let error = await sending.value
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.progress == .neverSent)
        #expect(stub.calls.isEmpty)
    }

    @Test("No description, mirror or dump of a chain contains a member's credential")
    func secrets() throws {
        let chain = ChainedAuthentication(
            try BearerAuthentication(token: "canary"),
            ChainedAuthentication(try BasicAuthentication(user: "canary", password: "canary")), Claiming(name: key))
        #expect(chain.description == "ChainedAuthentication(BearerAuthentication, ChainedAuthentication, Claiming)")
        var dumped = ""
        dump(chain, to: &dumped)
        for text in ["\(chain)", String(reflecting: chain), dumped] {
            #expect(!text.contains("canary"))
            #expect(!text.contains("Y2FuYXJ5"))
        }
    }
}
