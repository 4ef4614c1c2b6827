import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

/// Credentials, the client's own fields and redirects of requests that a balancer has moved to an endpoint.
@Suite("Balancing: credentials and redirects", .timeLimit(.minutes(1)))
struct BalancedCredentialTests {
    private func harness(_ urls: String..., seed: UInt64 = 1) throws -> BalancingHarness {
        try BalancingHarness(urls: urls, seed: seed)
    }

    /// The pipeline of a client whose credentials and own fields belong to the base URL.
    private func pipeline(
        _ harness: BalancingHarness, _ configure: (inout TestRoad) -> Void = { _ in }
    ) throws -> Next {
        let base = try ServiceURL(BalancingHarness.base).origin
        return try harness.pipeline {
            $0.authenticator = try? BearerAuthentication(token: "secret")
            $0.origins = [BalancingHarness.base]
            $0.redirect = RedirectOptions()
            $0.guardedFields = CallPlan.GuardedFields([.cookie: "own"], origin: base)
            configure(&$0)
        }
    }

    private func get(
        _ harness: BalancingHarness, _ pipeline: Next, url: String = "https://api.example/v1/users"
    ) async throws -> ServiceResponse {
        var request = try harness.request(url)
        request.fields[.cookie] = "own"
        return try await pipeline(request, context: harness.context())
    }

    /// The fields of each request that was sent: host, credentials, own field.
    private func fields(_ harness: BalancingHarness) -> [String] {
        harness.stub.calls.map {
            "\($0.request.origin?.host ?? "") \($0.fields[.authorization] ?? "-") \($0.fields[.cookie] ?? "-")"
        }
    }

    @Test("Endpoints get the credentials and the client's fields that belong to the base URL", .tags(.BA12))
    func endpointsGetCredentials() async throws {
        let harness = try harness("http://a.example")
        harness.stub.on(.get, "/users", always: .respond())
        _ = try await get(harness, pipeline(harness))
        #expect(fields(harness) == ["a.example Bearer secret own"])
    }

    @Test("A request that names an endpoint's origin without the balancer's choice gets no credentials", .tags(.BA12))
    func notMoved() async throws {
        let harness = try harness("http://a.example")
        harness.stub.on(.get, "http://a.example/users", always: .respond())
        _ = try await get(harness, pipeline(harness), url: "http://a.example/users")
        #expect(fields(harness) == ["a.example - -"])
    }

    @Test(
        "Middleware that sends a moved request to another origin takes neither credentials nor fields there",
        .tags(.BA12))
    func movedByMiddleware() async throws {
        let harness = try harness("http://a.example")
        harness.stub.on(.get, "http://evil.example/", always: .respond())
        let evil = try ServiceURL("http://evil.example/")
        let moving = Intercepting { request, context, next in
            var request = request
            request.url = evil
            return try await next(request, context: context)
        }
        _ = try await get(harness, pipeline(harness) { $0.perAttempt = [moving] })
        #expect(fields(harness) == ["evil.example - -"])
        #expect(harness.stub.calls.first?.context.placement == nil)
    }

    @Test("Middleware sees the URL of the endpoint")
    func middlewareSees() async throws {
        let harness = try harness("http://a.example/api")
        harness.stub.on(.get, "/api/users", always: .respond())
        let seen = Shared<[String]>([])
        let watching = Intercepting { request, context, next in
            seen.change { $0.append(request.url?.absoluteString ?? "") }
            return try await next(request, context: context)
        }
        _ = try await get(harness, pipeline(harness) { $0.perAttempt = [watching] })
        #expect(seen.value == ["http://a.example/api/users"])
        #expect(fields(harness) == ["a.example Bearer secret own"])
    }

    // MARK: Redirects

    @Test(
        "A relative redirect is relative to the endpoint, and keeps credentials; the next hop begins there",
        .tags(.BA12))
    func relativeRedirect() async throws {
        let harness = try harness("http://a.example/api", "http://b.example/other")
        harness.stub.on(.get, "/api/users", always: .respond(.seeOther, fields: [.location: "/api/users/7?x=1"]))
        harness.stub.on(.get, "/other/users", always: .respond(.seeOther, fields: [.location: "users/7?x=1"]))
        harness.stub.on(.get, "/api/users/7", always: .respond())
        harness.stub.on(.get, "/other/users/7", always: .respond())
        for _ in 0..<6 {
            let before = harness.sent.count
            let response = try await get(harness, pipeline(harness))
            #expect(response.status == .ok)
            let sent = Array(harness.sent.dropFirst(before))
            let base = sent[0].contains("a.example") ? "http://a.example/api" : "http://b.example/other"
            #expect(sent == ["\(base)/users", "\(base)/users/7?x=1"])
            #expect(response.facts.redirects.map(\.absoluteString) == [sent[1]])
        }
        #expect(fields(harness).allSatisfy { $0.hasSuffix("Bearer secret own") })
    }

    @Test(
        "An absolute redirect to an endpoint of the list counts as the base URL: it goes there with the credentials",
        .tags(.BA12))
    func redirectToEndpoint() async throws {
        let harness = try harness("http://a.example", "http://b.example", "http://c.example")
        // As a service whose followers send their callers to the leader.
        harness.stub.on(.get, "/users") { call in
            call.request.origin?.host == "c.example"
                ? .respond() : .respond(.temporaryRedirect, fields: [.location: "http://c.example/users"])
        }
        let pipeline = try pipeline(harness)
        for _ in 0..<10 {
            let response = try await get(harness, pipeline)
            #expect(response.status == .ok)
            #expect(response.facts.redirects.count <= 1)
        }
        #expect(fields(harness).allSatisfy { $0.hasSuffix("Bearer secret own") })
        #expect(harness.inFlight == 0)
    }

    @Test("If the endpoint that a redirect leads to fails, the retry goes to another endpoint")
    func retryAfterRedirect() async throws {
        let harness = try harness("http://a.example", "http://b.example")
        harness.stub.on(.get, "/users") { call in
            .respond(.temporaryRedirect, fields: [.location: "http://a.example/leader"])
        }
        harness.stub.on(.get, "http://a.example/leader", always: .fail(.connectionRefused, progress: .neverSent))
        harness.stub.on(.get, "http://b.example/leader", always: .respond())
        let response = try await harness.getRetrying { $0.redirect = RedirectOptions() }
        #expect(response.status == .ok)
        #expect(harness.sent.suffix(2) == ["http://a.example/leader", "http://b.example/leader"])
        #expect(response.facts.redirects.map(\.absoluteString) == ["http://a.example/leader"])
    }

    @Test("A redirect to a foreign origin takes no credentials, and no later hop has them", .tags(.BA12))
    func redirectElsewhere() async throws {
        let harness = try harness("http://a.example")
        harness.stub.on(
            .get, "http://a.example/users",
            inOrder: [
                .respond(.temporaryRedirect, fields: [.location: "http://other.example/x"]), .respond(),
            ])
        harness.stub.on(
            .get, "http://other.example/x",
            always: .respond(.temporaryRedirect, fields: [.location: "http://a.example/users"]))
        let pipeline = try pipeline(harness) { $0.redirect.allowsDowngrade = true }
        let response = try await get(harness, pipeline)
        #expect(response.status == .ok)
        #expect(
            fields(harness) == ["a.example Bearer secret own", "other.example - -", "a.example - -"])
    }

    @Test("A redirect from an http endpoint to a foreign http origin is a downgrade if the base URL is https")
    func downgrade() async throws {
        let harness = try harness("http://a.example")
        harness.stub.on(
            .get, "/users", always: .respond(.temporaryRedirect, fields: [.location: "http://other.example/x"]))
        let pipeline = try pipeline(harness)
        let error = await serviceError { try await get(harness, pipeline) }
        #expect(error?.code == .redirectRefused)
        #expect(harness.sent == ["http://a.example/users"])
    }
}
