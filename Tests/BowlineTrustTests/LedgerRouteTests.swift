internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("The routes of a ledger")
struct LedgerRouteTests {
    private static func proxies() throws -> [LedgerProxy] {
        [try LedgerProxy("http://127.0.0.1:8888"), try LedgerProxy("socks5h://127.0.0.1:1080")]
    }

    /// Three hundred episodes with proxies.
    private static func plans() throws -> [LedgerPlan] {
        let proxies = try proxies()
        return (0..<300).map { LedgerPlan.drawn(seed: 4, episode: $0, count: 40, proxies: proxies) }
    }

    @Test("A proxy of a ledger is an HTTP proxy without TLS, or a SOCKS5 proxy")
    func urls() throws {
        #expect(try LedgerProxy("http://127.0.0.1:8888").proxy.kind == .http)
        #expect(try LedgerProxy("socks5://127.0.0.1").proxy.port == 1080)
        #expect(throws: LedgerProxy.Unusable.self) { try LedgerProxy("https://127.0.0.1") }
        #expect(throws: ServiceError.self) { try LedgerProxy("127.0.0.1:8888") }
    }

    @Test("Three hundred episodes use every route, and about four of ten have no proxy")
    func variety() throws {
        let plans = try Self.plans()
        #expect(Set(plans.map(\.route.name)) == Set(LedgerRoute.names))
        #expect((90...150).contains(plans.count { $0.route == .direct }))
    }

    @Test("An HTTP proxy forwards requests without TLS, and opens tunnels for all others")
    func kinds() throws {
        for plan in try Self.plans() {
            switch plan.route {
            case .forwarded(let proxy):
                #expect(plan.wire == .http1)
                #expect(proxy.proxy.kind == .http)
            case .tunnel(let proxy):
                #expect(plan.wire != .http1)
                #expect(proxy.proxy.kind == .http)
            case .socks(let proxy): #expect(proxy.proxy.kind == .socks5)
            case .direct: #expect(plan.route.proxy == nil)
            }
        }
    }

    @Test("Without a proxy every route is direct, and with one kind of proxy only this kind is used")
    func missing() throws {
        let none = (0..<100).map { LedgerPlan.drawn(seed: 4, episode: $0, count: 1) }
        #expect(none.allSatisfy { $0.route == .direct })
        let socks = try Self.proxies().filter { $0.proxy.kind == .socks5 }
        let some = (0..<100).map { LedgerPlan.drawn(seed: 4, episode: $0, count: 1, proxies: socks) }
        #expect(Set(some.map(\.route.name)) == ["direct", "SOCKS5"])
    }

    @Test("A seed draws the same requests, path and client with and without proxies")
    func independent() throws {
        for plan in try Self.plans() {
            let direct = LedgerPlan.drawn(seed: 4, episode: plan.episode, count: 40)
            #expect(plan.wire == direct.wire)
            #expect(plan.faults == direct.faults)
            #expect(plan.timeouts == direct.timeouts)
            #expect(plan.requests.map(\.id) == direct.requests.map(\.id))
            #expect(plan.requests.map(\.acts) == direct.requests.map(\.acts))
            guard !plan.route.isForwarded else { continue }
            #expect(plan.requests == direct.requests)
            #expect(plan.pool == direct.pool)
        }
    }

    @Test("The port of a proxy does not change the episode")
    func ports() throws {
        let others = [try LedgerProxy("http://127.0.0.1:9"), try LedgerProxy("socks5h://127.0.0.1:10")]
        for plan in try Self.plans() {
            let other = LedgerPlan.drawn(seed: 4, episode: plan.episode, count: 40, proxies: others)
            #expect(other.route.name == plan.route.name)
            #expect(other.requests == plan.requests)
        }
    }

    @Test("Where a proxy forwards requests, no request has trailers, and a calm client uses each connection once")
    func forwarded() throws {
        let plans = try Self.plans().filter(\.route.isForwarded)
        #expect(plans.flatMap(\.requests).allSatisfy { $0.bodyKind != .trailed })
        #expect(plans.contains { $0.isCalm })
        #expect(plans.filter(\.isCalm).allSatisfy { !$0.pool.isEnabled && $0.pool.minimumIdlePerOrigin == 0 })
        #expect(plans.contains { !$0.isCalm && $0.pool.isEnabled })
    }

    @Test("Each client has a valid configuration with the proxy of its route")
    func configurations() throws {
        for plan in try Self.plans() {
            var configuration = ClientConfiguration()
            configuration.pool = plan.pool
            configuration.proxy = plan.route.choice
            #expect(configuration.problems().isEmpty, "episode \(plan.episode)")
            #expect(configuration.proxy.description == plan.route.proxy?.proxy.description ?? "none")
        }
    }
}
