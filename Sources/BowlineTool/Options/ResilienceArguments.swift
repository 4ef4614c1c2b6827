internal import ArgumentParser
internal import Bowline

/// The options for gates, hedges and balancing.
struct ResilienceArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A set of policies: off or standard. Single options override it. (default: off)", valueName: "name"))
    var resilience: ResiliencePreset?

    @Option(help: ArgumentHelp("Requests per second; further requests wait up to one second.", valueName: "n"))
    var rate: Double?

    @Option(help: ArgumentHelp("Requests in flight at once, or adaptive.", valueName: "n"))
    var concurrencyLimit: String?

    @Flag(help: "Refuses requests while most requests fail.")
    var breaker = false

    @Option(help: ArgumentHelp("Sends a second attempt when the first takes this long.", valueName: "s"))
    var hedgeAfter: Seconds?

    @Option(
        help: ArgumentHelp("The addresses of a host, in place of the resolver's.", valueName: "host:address,…"))
    var resolve: [String] = []

    @Flag(help: "Distributes requests over the addresses of each host.")
    var balance = false

    @Option(
        help: ArgumentHelp("A base URL to distribute the requests to, in place of the URLs' origin.", valueName: "url"))
    var endpoint: [String] = []
}

/// The sets of policies, by name.
enum ResiliencePreset: String, ExpressibleByArgument, CaseIterable {
    case off, standard

    var options: ResilienceOptions {
        switch self {
        case .off: .off
        case .standard: .standard
        }
    }
}

extension ResilienceArguments {
    /// Makes the policies.
    func makeResilience() throws -> ResilienceOptions {
        var options = resilience?.options ?? .off
        if let rate {
            var limit = RateOptions()
            limit.perSecond = rate
            options.rate = limit
        }
        if let concurrencyLimit { options.concurrency = try makeConcurrency(concurrencyLimit) }
        if breaker { options.breaker = options.breaker ?? BreakerOptions() }
        if let delay = try hedgeAfter.positive("--hedge-after") {
            options.hedging = HedgingOptions { $0.delay = .after(delay) }
        }
        if balance { options.balancing = BalancingOptions() }
        if !endpoint.isEmpty {
            guard !balance else { throw ValidationError("--balance and --endpoint cannot be given together") }
            options.balancing = BalancingOptions { $0.endpoints = .fixed(endpoint.map { ServiceEndpoint($0) }) }
        }
        if let problem = options.problems(at: "resilience").first {
            throw ValidationError(Self.named(problem))
        }
        return options
    }

    private func makeConcurrency(_ text: String) throws -> ConcurrencyOptions {
        if text == "adaptive" { return ConcurrencyOptions() }
        guard let limit = Int(text), limit >= 1 else {
            throw ValidationError("--concurrency-limit must be a number from 1, or adaptive; is \(text)")
        }
        return ConcurrencyOptions { $0.limit = .fixed(limit) }
    }

    /// Returns a problem's text, with the option in place of the property.
    private static func named(_ problem: ConfigurationProblem) -> String {
        let options = [
            "resilience.rate.perSecond": "--rate", "resilience.concurrency.limit": "--concurrency-limit",
            "resilience.hedging.delay": "--hedge-after",
        ]
        var text = problem.description
        for (path, option) in options where text.hasPrefix(path) {
            text = option + text.dropFirst(path.count)
        }
        if text.hasPrefix("resilience.balancing.endpoints") {
            text = "--endpoint" + text.dropFirst("resilience.balancing.endpoints".count)
        }
        return text
    }

    /// Makes the resolver; nil: the system's.
    func makeResolver() throws -> FixedAddresses? {
        guard !resolve.isEmpty else { return nil }
        var addresses: [String: [IPAddress]] = [:]
        for entry in resolve {
            guard let colon = entry.firstIndex(of: ":"), colon != entry.startIndex else {
                throw ValidationError("--resolve must have the form host:address, or host:address,address; is \(entry)")
            }
            let listed = entry[entry.index(after: colon)...].split(separator: ",", omittingEmptySubsequences: false)
            for text in listed {
                let plain = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text
                guard let address = IPAddress(String(plain)) else {
                    throw ValidationError("--resolve: \(text) is not an IP address")
                }
                addresses[String(entry[..<colon]).lowercased(), default: []].append(address)
            }
        }
        return FixedAddresses(addresses, otherwise: SystemAddresses())
    }

    /// Returns the base URL that ``endpoint`` replaces: the origin of all URLs; nil: there are no endpoints.
    func baseURL(of urls: [String]) throws -> String? {
        guard !endpoint.isEmpty else { return nil }
        let origins = Set(try urls.map { try ServiceURL($0).origin })
        guard origins.count == 1, let origin = origins.first else {
            throw ValidationError("--endpoint needs URLs of one origin")
        }
        return "\(origin)"
    }
}
