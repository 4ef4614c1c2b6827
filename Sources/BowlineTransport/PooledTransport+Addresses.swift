package import BowlineCore

extension PooledTransport: AddressListing {
    package func addresses(of origin: Origin, deadline: Deadline?) async throws -> [IPAddress]? {
        try Task.checkCancellation()
        let now = environment.clock.now
        switch knownAddresses(of: origin, now: now) {
        case .known(let addresses): return addresses
        case .notChoosable: return nil
        case .unknown: return try await lookUpAddresses(of: origin, deadline: deadline, now: now)
        }
    }

    package func knownAddresses(of origin: Origin, now: MonotonicInstant) -> KnownAddresses {
        guard origin.hasNamedHost,
            environment.proxies.isDirect || !usesProxy({ try environment.proxies.proxy(for: origin) })
        else { return .notChoosable }
        // First: a host with known addresses is not this machine, and this runs for each attempt.
        if let addresses = environment.hosts.known(origin, now: now) { return .known(addresses) }
        return AddressCache.isThisMachine(origin.host) ? .notChoosable : .unknown
    }

    package func mayUseAddress(_ url: ServiceURL) -> Bool {
        // For the other rules ``knownAddresses(of:now:)`` knows it.
        environment.proxies.dependsOnOriginOnly || !usesProxy { try environment.proxies.proxy(for: url) }
    }

    package func keepOnly(_ addresses: [IPAddress], of origin: Origin) {
        pools.keepOnly(addresses, of: origin)
    }

    /// Whether there is a proxy, or the choice of the proxy fails: then the request reports the error.
    private func usesProxy(_ choose: () throws -> Proxy?) -> Bool {
        do {
            return try choose() != nil
        } catch {
            return true
        }
    }

    private func lookUpAddresses(
        of origin: Origin, deadline: Deadline?, now: MonotonicInstant
    ) async throws -> [IPAddress] {
        let limit = environment.options.connectTimeout.map { now.advanced(by: $0) } ?? .distantFuture
        let end = min(limit, deadline?.instant ?? .distantFuture)
        do {
            guard end > now else { throw DialFailure.timedOut }
            return try await environment.hosts.lookUp(origin, before: end == .distantFuture ? nil : end)
        } catch let error as CancellationError {
            throw error
        } catch DialFailure.timedOut where end < limit {
            var error = ServiceError(
                .deadlineExceeded, "the request's deadline has passed while its host name was resolved",
                origin: origin.description, phase: .connecting)
            error.elapsed = now.duration(to: environment.clock.now)
            throw error
        } catch {
            throw ServiceError.dialFailed(
                error, step: .resolve, route: Route(origin), limit: environment.options.connectTimeout)
        }
    }
}
