import Bowline
import NIOCore

/// The snippets of Docs/Resilience.md in their order, with the imports that it shows. Nothing here is run.
private enum ResilienceSnippets {
    static func switchingOn() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.resilience = .standard  // breaker, adaptive concurrency limit, Retry-After shared by all calls
            $0.resilience.hedging = HedgingOptions { $0.delay = .percentile(0.95) }
        }
        _ = client
    }

    static func scope(client: ServiceClient) async throws {
        let report = try await client.get("reports/42") {
            $0.policyScope = "reports"  // its own gates: slow reports do not open the breaker of other requests
            $0.priority = .sheddable
        }
        _ = report
    }

    static func byHand(client: ServiceClient) throws {
        try client.resilience.isolate(origin: "https://api.example.com")  // refuses everything until reset
        try client.resilience.reset(origin: "https://api.example.com")
    }

    static func endpoints() throws {
        let client = try ServiceClient(baseURL: "https://orders.internal") {
            $0.resilience.balancing = BalancingOptions {
                $0.endpoints = .fixed([
                    ServiceEndpoint("https://10.0.0.1:8443", weight: 2, zone: "west"),
                    ServiceEndpoint("https://10.0.1.1:8443", zone: "east"),
                ])
                $0.zone = "west"
            }
        }
        _ = client
    }

    static func fleet(store: any RateLimitStore) throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.resilience.rate = RateOptions {
                $0.perSecond = 1000  // of all processes together
                $0.burst = 200
                $0.store = store
            }
        }
        _ = client
    }

    static func discovery() throws {
        let (lists, discovered) = AsyncStream.makeStream(of: [ServiceEndpoint].self)
        let client = try ServiceClient(baseURL: "https://orders.internal") {
            $0.resilience.balancing = BalancingOptions { $0.endpoints = .updates(EndpointUpdates(lists)) }
        }
        discovered.yield([ServiceEndpoint("https://10.0.0.1:8443"), ServiceEndpoint("https://10.0.1.1:8443")])
        _ = client
    }

    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.resilience.hedging = HedgingOptions()  // after the 95th percentile of recent attempts
        }
        let found = try await client.get("search?q=rope") {
            var hedging = HedgingOptions()
            hedging.delay = .after(.milliseconds(50))
            $0.hedging = .limited(hedging)  // .unlimited: no hedges for this request
        }
        print(found.requestsSent)
    }

    static func snippet2(client: ServiceClient) async throws {
        var request = ServiceRequest.get("recommendations")
        request.options.fallback = { error in
            guard error.code != .invalidRequest else { throw error }
            return ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(string: "[]")))
        }
        let response = try await client.send(request)
        print(try await response.decode([String].self))
    }
}
