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
        guard origin.hasNamedHost, environment.proxies.isDirect || !usesProxy(origin) else { return .notChoosable }
        // First: a host with known addresses is not this machine, and this runs for each attempt.
        if let addresses = environment.hosts.known(origin, now: now) { return .known(addresses) }
        return AddressCache.isThisMachine(origin.host) ? .notChoosable : .unknown
    }

    package func keepOnly(_ addresses: [IPAddress], of origin: Origin) {
        pools.keepOnly(addresses, of: origin)
    }

    /// Whether requests to the origin use a proxy, or the choice of the proxy fails: then the request reports the error.
    ///
    /// A closure of ``ProxyChoice/custom(_:)`` is asked for the root of the origin. If it chooses a proxy for one of the
    /// other URLs, that request ignores its address.
    private func usesProxy(_ origin: Origin) -> Bool {
        do {
            return try environment.proxies.proxy(for: origin) != nil
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
