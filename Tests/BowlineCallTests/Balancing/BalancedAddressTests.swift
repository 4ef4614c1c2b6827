import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Balancing over addresses", .timeLimit(.minutes(1)))
struct BalancedAddressTests {
    private static let three = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

    private func harness(
        known: [String]? = three, _ configure: (inout BalancingOptions) -> Void = { _ in }
    ) throws -> BalancingHarness {
        let harness = try BalancingHarness(.addresses, configure)
        if let known { harness.listing.know(known) } else { harness.listing.know(.unknown) }
        harness.stub.on(.get, "/v1/users", always: .respond())
        return harness
    }

    @Test("With perAttempt middleware too, a look-up that fails is a failed dial for the breaker", .tags(.BR5))
    func failedLookUpOpensBreaker() async throws {
        let harness = try harness(known: nil)
        harness.listing.find(ServiceError(.nameResolutionFailed, "no such host"))
        let gates = ServiceGates(clock: harness.clock)
        var options = ResilienceOptions()
        options.breaker = BreakerOptions()
        options.breaker?.minimumAttempts = 2
        let plan = CallPlan.Gates(gates, options)
        let pipeline = try harness.pipeline {
            $0.gates = plan
            $0.perAttempt = [Intercepting { request, context, next in try await next(request, context: context) }]
        }
        for _ in 0..<2 {
            let error = await serviceError { try await harness.get(through: pipeline) }
            #expect(error?.code == .nameResolutionFailed)
        }
        #expect(gates.snapshot().scopes.first?.breaker.state == .open)
    }

    @Test("Attempts are distributed over the host's addresses; their URL stays", .tags(.BA13))
    func addresses() async throws {
        let harness = try harness()
        let pipeline = try harness.pipeline()
        for _ in 0..<60 { _ = try await harness.get(through: pipeline) }
        for address in Self.three {
            let share = harness.addresses.count { $0 == address }
            #expect((8...35).contains(share), "\(address): \(share)")
        }
        #expect(Set(harness.sent) == ["https://api.example/v1/users"])
        let placement = try #require(harness.stub.calls.first?.context.placement)
        #expect(placement.namedOrigin == nil)
        #expect(placement.placedOrigin?.host == "api.example")
        #expect(harness.inFlight == 0)
        #expect(harness.listing.lookUps == 0)
    }

    @Test("Retries go to addresses that the call has not used", .tags(.BA7))
    func retries() async throws {
        let harness = try harness()
        harness.stub.on(.get, "/v1/users", always: .fail(.connectionRefused, progress: .neverSent))
        let error = await serviceError { try await harness.getRetrying(attempts: 3) }
        #expect(error?.code == .connectionRefused)
        #expect(Set(harness.addresses) == Set(Self.three))
    }

    @Test("Each origin has its own balancer, whatever the client's base URL is")
    func origins() async throws {
        let harness = try harness()
        harness.stub.on(.get, "http://other.example/", always: .respond())
        let pipeline = try harness.pipeline()
        _ = try await harness.get(through: pipeline)
        _ = try await harness.get("http://other.example/", through: pipeline)
        #expect(harness.balancers.snapshot().map(\.origin.host) == ["other.example", "api.example"])
        #expect(harness.addresses.allSatisfy { Self.three.contains($0) })
    }

    @Test("Nothing is balanced if the transport cannot choose: a proxy, for example, hides the addresses", .tags(.BA13))
    func notChoosable() async throws {
        let harness = try harness()
        harness.listing.know(.notChoosable)
        _ = try await harness.get()
        #expect(harness.addresses == ["none"])
        #expect(harness.stub.calls.first?.context.placement == nil)
        #expect(harness.balancers.snapshot() == [])
    }

    @Test(
        "Addresses and sockets as hosts are not balanced", .tags(.BA13),
        arguments: [
            "http://192.0.2.9/v1/users", "http://[2001:db8::1]/v1/users", "http+unix://%2Frun%2Fx.sock/v1/users",
        ])
    func literals(url: String) async throws {
        let harness = try harness()
        _ = try await harness.get(url)
        #expect(harness.addresses == ["none"])
        #expect(harness.listing.questions == [])
    }

    @Test("A transport that lists no addresses is used as it is")
    func plainTransport() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/users", always: .respond())
        let clock = TestClock()
        let balancers = Balancers(base: nil, transport: stub, events: nil, clock: clock, random: { 0.5 })
        let road = TestRoad {
            $0.clock = clock
            $0.balancing = balancers.attempts(BalancingOptions())
        }
        _ = try await stub.send(ServiceRequest("http://api.example/v1/users"), along: road)
        #expect(stub.calls.first?.context.placement == nil)
    }

    @Test("If the resolver knows no address of the host, the transport fails the attempt")
    func noAddresses() async throws {
        let harness = try harness(known: [])
        _ = try await harness.get()
        #expect(harness.addresses == ["none"])
    }

    // MARK: Look-ups

    @Test("Attempts for a host without known addresses wait for one look-up, which they share", .tags(.BA13))
    func sharedLookUp() async throws {
        let harness = try harness(known: nil)
        harness.listing.find(Self.three)
        harness.listing.gate.close()
        let pipeline = try harness.pipeline()
        async let first = harness.get(through: pipeline)
        async let second = harness.get(through: pipeline)
        try await harness.listing.gate.waitForWaiters(count: 1)
        #expect(harness.sent == [])
        harness.listing.gate.open()
        let statuses = try await [first.status, second.status]
        #expect(statuses == [.ok, .ok])
        #expect(harness.addresses.allSatisfy { Self.three.contains($0) })
        #expect(harness.listing.lookUps == 1)
        #expect(harness.recorded.all == ["api.example: updated 3"])
    }

    @Test("A look-up that fails is the attempt's failure, never sent, and is retried", .tags(.BA13))
    func failedLookUp() async throws {
        let harness = try harness(known: nil)
        harness.listing.find(ServiceError(.nameResolutionFailed, "no such host"))
        let error = await serviceError { try await harness.getRetrying(attempts: 2) }
        #expect(error?.code == .nameResolutionFailed)
        #expect(error?.progress == .neverSent)
        #expect(error?.attempts == 2)
        #expect(error?.origin == "https://api.example:443")
        #expect(error?.phase == .connecting)
        #expect(harness.listing.lookUps == 2)
        #expect(harness.sent == [])
    }

    @Test("The call's deadline ends the wait for a look-up")
    func deadline() async throws {
        let harness = try harness(known: nil)
        harness.listing.gate.close()
        let task = Task { try await harness.get(context: harness.context(deadline: .seconds(3))) }
        try await harness.clock.waitForSleepers()
        harness.clock.advance(by: .seconds(3))
        let error = await serviceError { try await task.value }
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.progress == .neverSent)
    }

    @Test("Cancelling a call ends its wait for a look-up, and not the look-up")
    func cancellation() async throws {
        let harness = try harness(known: nil)
        harness.listing.find(Self.three)
        harness.listing.gate.close()
        let pipeline = try harness.pipeline()
        let task = Task { try await harness.get(through: pipeline) }
        try await harness.listing.gate.waitForWaiters(count: 1)
        async let other = harness.get(through: pipeline)
        task.cancel()
        let result = await task.result
        #expect(throws: CancellationError.self) { try result.get() }
        harness.listing.gate.open()
        let status = try await other.status
        #expect(status == .ok)
        #expect(harness.listing.lookUps == 1)
    }

    @Test("If the transport no longer knows addresses, attempts wait for a look-up; the endpoints keep their state")
    func forgotten() async throws {
        let harness = try harness()
        let pipeline = try harness.pipeline()
        _ = try await harness.get(through: pipeline)
        harness.listing.know(.unknown)
        harness.listing.find(Self.three)
        harness.listing.gate.close()
        async let response = harness.get(through: pipeline)
        try await harness.listing.gate.waitForWaiters(count: 1)
        #expect(harness.sent.count == 1)
        harness.listing.gate.open()
        let status = try await response.status
        #expect(status == .ok)
        #expect(harness.listing.lookUps == 1)
        #expect(harness.recorded.all == ["api.example: updated 3"])
    }

    @Test("If the host has no addresses any more, attempts fail, and go on when it has some again", .tags(.BA13))
    func hostGone() async throws {
        let harness = try harness()
        let pipeline = try harness.pipeline()
        _ = try await harness.get(through: pipeline)
        harness.listing.know(.unknown)
        harness.listing.find(ServiceError(.nameResolutionFailed, "no such host"))
        let error = await serviceError { try await harness.get(through: pipeline) }
        #expect(error?.code == .nameResolutionFailed)
        harness.listing.find(["192.0.2.3", "192.0.2.4"])
        _ = try await harness.get(through: pipeline)
        // The new address gets its full share after the slow start.
        harness.clock.advance(by: .seconds(10))
        for _ in 0..<30 { _ = try await harness.get(through: pipeline) }
        #expect(Set(harness.addresses.dropFirst()) == ["192.0.2.3", "192.0.2.4"])
        #expect(harness.listing.kept == [Self.three, ["192.0.2.3", "192.0.2.4"]])
    }

    @Test(
        "When the addresses change, the pools of those that vanished drain, and the others keep their state",
        .tags(.BA13))
    func changed() async throws {
        let harness = try harness(known: ["192.0.2.1", "192.0.2.2"])
        let pipeline = try harness.pipeline()
        _ = try await harness.get(through: pipeline)
        harness.listing.know(["192.0.2.2", "192.0.2.7", "192.0.2.2"])
        #expect(harness.listing.kept == [["192.0.2.1", "192.0.2.2"]])
        _ = try await harness.get(through: pipeline)
        #expect(harness.listing.kept == [["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.7"]])
        #expect(harness.recorded.all == ["api.example: updated 2", "api.example: updated 2"])
        let endpoints = harness.balancers.snapshot().first?.endpoints ?? []
        #expect(
            endpoints.map(\.endpoint.description) == [
                "https://api.example:443 at 192.0.2.2", "https://api.example:443 at 192.0.2.7",
            ])
        #expect(endpoints.last?.slowStartShare ?? 1 < 1)
        #expect(endpoints.first?.slowStartShare == 1)
    }

    /// Does something when the endpoints change, once.
    private final class Interrupting: ServiceEventListener {
        let work = Guarded<(@Sendable () -> Void)?>(nil)

        func endpointsChanged(_ origin: Origin, _ change: EndpointChange) { work.withLock { $0.take() }?() }
    }

    @Test("If the addresses change again before the balancer and the transport have them, the last ones stay")
    func overtaken() throws {
        let interrupting = Interrupting()
        let clock = TestClock()
        let listing = ListingTransport(StubTransport())
        let surroundings = BalancingSurroundings(
            addresses: listing, events: EventDispatch([interrupting], clock: clock), clock: clock, random: { 0.5 })
        let balancer = Balancer(try ServiceURL("https://api.example").origin, BalancingOptions(), surroundings)
        let addresses = AddressBalancer(balancer, listing, surroundings)
        // The listener runs where another thread could: when the balancer has the list, and the transport has it not.
        interrupting.work.withLock { work in
            work = {
                listing.know(["192.0.2.2"])
                _ = addresses.readiness(at: clock.now)
            }
        }
        listing.know(["192.0.2.1"])
        _ = addresses.readiness(at: clock.now)
        #expect(listing.kept.last == ["192.0.2.2"])
        #expect(balancer.snapshot().endpoints.map(\.endpoint.description) == ["https://api.example:443 at 192.0.2.2"])
        let count = listing.kept.count
        _ = addresses.readiness(at: clock.now)
        #expect(listing.kept.count == count)
    }

    @Test("The same addresses in another order are no change")
    func reordered() async throws {
        let harness = try harness()
        let pipeline = try harness.pipeline()
        _ = try await harness.get(through: pipeline)
        harness.listing.know(Self.three.reversed())
        _ = try await harness.get(through: pipeline)
        #expect(harness.listing.kept.count == 1)
        #expect(harness.recorded.all == ["api.example: updated 3"])
    }

    // MARK: Ejection, middleware, bounds

    @Test("An address that refuses connections is ejected", .tags(.BA3))
    func ejected() async throws {
        let harness = try harness()
        harness.stub.on(.get, "/v1/users") { call in
            call.context.placement?.address?.description == "192.0.2.2"
                ? .fail(.connectionRefused, progress: .neverSent) : .respond()
        }
        let pipeline = try harness.pipeline()
        for _ in 0..<60 { _ = try? await harness.get(through: pipeline) }
        #expect(
            harness.recorded.all == [
                "api.example: updated 3", "api.example: ejected https://api.example:443 at 192.0.2.2 5.0 s",
            ])
        #expect(harness.addresses.count { $0 == "192.0.2.2" } == 5)
    }

    @Test("Middleware that sends the request to another origin does not take the address there")
    func otherOriginByMiddleware() async throws {
        let harness = try harness()
        harness.stub.on(.get, "http://other.example/", always: .respond())
        let other = try ServiceURL("http://other.example/")
        let moving = Intercepting { request, context, next in
            var request = request
            request.url = other
            return try await next(request, context: context)
        }
        var context = harness.context()
        context.placement = AttemptPlacement(isHedge: true)
        _ = try await harness.get(through: harness.pipeline { $0.perAttempt = [moving] }, context: context)
        #expect(harness.sent == ["http://other.example/"])
        #expect(harness.addresses == ["none"])
        #expect(harness.stub.calls.first?.context.placement?.isHedge == true)
    }

    @Test("Origins that were not used for longest are forgotten; those with attempts in flight stay")
    func bounded() async throws {
        let harness = try harness()
        let gate = Gate()
        harness.stub.on(.get, "http://busy.example/", always: .respond().held(by: gate))
        harness.stub.on(.get, "/many", always: .respond())
        let pipeline = try harness.pipeline()
        let busy = Task { try await harness.get("http://busy.example/", through: pipeline) }
        try await harness.stub.waitForCalls(count: 1)
        for number in 0..<(AddressBalancers.maximumOrigins + 10) {
            harness.clock.advance(by: .milliseconds(1))
            _ = try await harness.get("http://h\(number).example/many", through: pipeline)
        }
        let hosts = Set(harness.balancers.snapshot().map(\.origin.host))
        #expect(hosts.count <= AddressBalancers.maximumOrigins)
        #expect(hosts.contains("busy.example"))
        #expect(!hosts.contains("h0.example"))
        #expect(hosts.contains("h1033.example"))
        gate.open()
        let status = try await busy.value.status
        #expect(status == .ok)
        #expect(harness.inFlight == 0)
    }
}
