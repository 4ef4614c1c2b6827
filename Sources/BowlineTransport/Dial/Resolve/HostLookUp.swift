internal import BowlineCore

/// One look-up of the addresses of a host for ``HostAddresses``, of all families at the same time.
struct HostLookUp {
    private enum Event: Sendable {
        case answered(IPAddress.Family, Result<[IPAddress], any Error>)
        case delayPassed
        case limitPassed
    }

    private let host: String
    private let families: [IPAddress.Family]
    private let cache: AddressCache
    private let clock: any ServiceClock

    init(_ host: String, _ families: [IPAddress.Family], cache: AddressCache, clock: any ServiceClock) {
        self.host = host
        self.families = families
        self.cache = cache
        self.clock = clock
    }

    /// Asks the cache, which asks the resolver, and returns the answers.
    ///
    /// - Parameters:
    ///   - limit: When to return the answers that have come, and to cancel the rest; nil: no limit.
    ///   - waitsForAll: Whether to wait for the answers of all families. If not, the look-up returns 50 ms after the
    ///     first family with addresses. An answer that comes soon afterwards goes to the cache only.
    /// - Throws: `CancellationError` at once when the task is cancelled. The look-ups are cancelled, too.
    func run(before limit: MonotonicInstant?, waitsForAll: Bool) async throws -> Answers {
        try Task.checkCancellation()
        let (events, log) = AsyncStream<Event>.makeStream()
        let lookUps = families.map { start($0, log) }
        let end = limit.map { limit in
            Task.detachedInheriting { [clock] in
                guard (try? await clock.sleep(until: limit, tolerance: nil)) != nil else { return }
                // First, so that the cancelled look-ups do not count as answers.
                log.yield(.limitPassed)
                for lookUp in lookUps { lookUp.cancel() }
            }
        }
        var delay: Task<Void, Never>?
        defer { delay?.cancel() }
        var answers = Answers()
        for await event in events {
            switch event {
            case .answered(let family, let answer):
                answers[family] = answer
                if answers.count == families.count {
                    end?.cancel()
                    return answers
                }
                if !waitsForAll, answers.hasAddresses { delay = startDelay(log) }
            case .delayPassed:
                end?.cancel()
                cache.endSoon(lookUps)
                return answers
            case .limitPassed:
                // An answer may have come although its look-up has not reported it yet.
                for family in families where answers[family] == nil {
                    answers[family] = cache.cached(host, family).map { .success($0) }
                }
                answers.areCutOff = answers.count < families.count
                return answers
            }
        }
        // The stream ends before a `return` only if the task is cancelled.
        end?.cancel()
        for lookUp in lookUps { lookUp.cancel() }
        throw CancellationError()
    }

    private func start(_ family: IPAddress.Family, _ log: AsyncStream<Event>.Continuation) -> Task<Void, Never> {
        // Detached: the task-local values of a request are not the resolver's business.
        Task.detachedInheriting { [host, cache] in
            do {
                log.yield(.answered(family, .success(try await cache.resolve(host, family))))
            } catch {
                log.yield(.answered(family, .failure(error)))
            }
        }
    }

    private func startDelay(_ log: AsyncStream<Event>.Continuation) -> Task<Void, Never> {
        let end = clock.now.advanced(by: ConnectStateMachine.resolutionDelay)
        return Task.detachedInheriting { [clock] in
            guard (try? await clock.sleep(until: end, tolerance: nil)) != nil else { return }
            log.yield(.delayPassed)
        }
    }

    /// The answers of the families that have answered.
    struct Answers {
        private var answers: [IPAddress.Family: Result<[IPAddress], any Error>] = [:]
        /// Whether the limit passed before all families had answered.
        var areCutOff = false

        var count: Int { answers.count }
        var hasAddresses: Bool { answers.values.contains { (try? $0.get().isEmpty) == false } }

        subscript(family: IPAddress.Family) -> Result<[IPAddress], any Error>? {
            get { answers[family] }
            set { answers[family] = newValue }
        }

        /// Returns the addresses, each once: those of IPv6, then those of IPv4, in the resolver's order.
        ///
        /// - Parameter previous: The list before. A family that gets no answer keeps its addresses, unless the resolver
        ///   says that there is no such host.
        /// - Throws: ``ConnectFailure`` if there is no address.
        func addresses(previous: [IPAddress]) throws -> [IPAddress] {
            var found: [IPAddress] = []
            var failure = ConnectFailure()
            for family in [IPAddress.Family.v6, .v4] {
                switch answers[family] {
                case .success(let addresses)?: found += addresses
                case .failure(let error)?:
                    failure.recordLookUp(family, error)
                    if (error as? NameLookupError)?.reason != .noSuchHost {
                        found += previous.filter { $0.family == family }
                    }
                case nil: found += previous.filter { $0.family == family }
                }
            }
            guard !found.isEmpty else { throw failure }
            var seen = Set<IPAddress>()
            return found.filter { seen.insert($0).inserted }
        }
    }
}
