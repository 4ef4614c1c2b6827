import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("A 401 that perAttempt middleware has seen", .timeLimit(.minutes(1)))
struct RenewalThroughMiddlewareTests {
    /// Sends `k0`, and after each refusal the next key.
    private final class Keys: RequestAuthenticator {
        private let number = Shared(0)

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            request.fields[.authorization] = "k\(number.value)"
        }

        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
            number.change { $0 += 1 }
            return true
        }
    }

    private let harness = RetryHarness()

    /// A service that accepts each key but the first, behind this middleware.
    private func send(
        through body: @escaping @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse
    ) async throws -> ServiceResponse {
        harness.stub.on(.get, "/x") { call in
            .respond(call.fields[.authorization] == "k0" ? .unauthorized : .ok)
        }
        harness.stub.on(.head, "/x", always: .respond(.ok))
        var road = harness.road
        road.authenticator = Keys()
        road.perAttempt = [Intercepting(body)]
        return try await road.over(harness.stub)(harness.request(), context: harness.context())
    }

    private var keys: [String?] { harness.stub.calls.filter { $0.method == .get }.map { $0.fields[.authorization] } }

    @Test("a request of the middleware's own that follows the 401 in the same attempt does not hide it")
    func audited() async throws {
        let response = try await send { request, context, next in
            let response = try await next(request, context: context)
            var audit = request
            audit.method = .head
            try await next(audit, context: context).body.discard()
            return response
        }
        #expect(response.status == .ok)
        #expect(keys == ["k0", "k1"])
    }

    @Test("Middleware that passes its own context handles the 401 itself")
    func ownContext() async throws {
        let response = try await send { request, context, next in
            try await next(
                request,
                context: RequestContext(
                    deadline: context.deadline, attempt: context.attempt, timeouts: context.timeouts,
                    clock: context.clock))
        }
        #expect(response.status == .unauthorized)
        #expect(keys == ["k0"])
    }

    @Test("The status that middleware gives to a 401 replaces the service's status")
    func otherStatus() async throws {
        let response = try await send { request, context, next in
            var response = try await next(request, context: context)
            if response.status == .unauthorized { response.status = .forbidden }
            return response
        }
        #expect(response.status == .forbidden)
        #expect(keys == ["k0"])
    }

    @Test("the decision about a retry names the attempt that failed, if a 401 was sent again before it")
    func decidedAttempt() async throws {
        harness.stub.on(
            .get, "/x", inOrder: [.respond(.unauthorized), .respond(.serviceUnavailable), .respond(.ok)])
        var road = harness.road
        road.authenticator = Keys()
        let response = try await harness.send(through: road.over(harness.stub)).get()
        #expect(response.status == .ok)
        #expect(response.attempts == 3)
        #expect(harness.decisions.all.map(\.attempt) == [2])
    }

    @Test("a redirect whose hop is cancelled before it begins adds nothing to the next origin's budget")
    func cancelledHop() async throws {
        var road = harness.road
        road.redirect = RedirectOptions()
        road.perAttempt = [
            Intercepting { _, _, _ in
                withUnsafeCurrentTask { $0?.cancel() }
                return ServiceResponse(status: .found, fields: [.location: "http://other.example/x"])
            }
        ]
        let (next, request, context) = (
            try road.over(harness.stub), try harness.request(), harness.context()
        )
        let call = Task { try await next(request, context: context) }
        await #expect(throws: CancellationError.self) { try await call.value }
        var budget = RetryBudgetOptions()
        budget.ratio = 1
        budget.perSecond = 0
        let other = try ServiceURL("http://other.example/x").origin
        #expect(harness.budgets.left(for: other, at: harness.clock.now, budget) == 0)
    }
}
