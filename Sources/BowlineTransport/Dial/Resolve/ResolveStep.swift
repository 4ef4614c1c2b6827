internal import BowlineCore
internal import NIOCore

/// The first step of a dial to a host name: finds the addresses of both families in parallel.
///
/// Addresses that the cache has are reported before ``start()`` returns, without a task. All calls are on the event
/// loop.
// Safety: mutable state is touched on `eventLoop` only.
final class ResolveStep: @unchecked Sendable {
    typealias Answer = Result<[IPAddress], any Error>

    private let host: String
    private let cache: AddressCache
    private let eventLoop: any EventLoop
    /// nil: the step is over. A look-up that goes on keeps this step, but not the dial.
    private var report: ((IPAddress.Family, Answer) -> Void)?
    /// The look-ups that have not answered yet.
    private var lookUps: [IPAddress.Family: Task<Void, Never>] = [:]

    /// - Parameter report: Called once for each family, on the loop, unless the step is cancelled before.
    init(
        _ host: String, cache: AddressCache, eventLoop: any EventLoop,
        report: @escaping (IPAddress.Family, Answer) -> Void
    ) {
        self.host = host
        self.cache = cache
        self.eventLoop = eventLoop
        self.report = report
    }

    func start() {
        for family in [IPAddress.Family.v6, .v4] { start(family) }
    }

    private func start(_ family: IPAddress.Family) {
        guard let report else { return }
        if let addresses = cache.cached(host, family) {
            report(family, .success(addresses))
            return
        }
        // Detached: the task-local values of a request are not the resolver's business.
        lookUps[family] = Task.detachedInheriting { [host, cache, eventLoop] in
            let answer: Answer
            do {
                answer = .success(try await cache.resolve(host, family))
            } catch {
                answer = .failure(error)
            }
            eventLoop.execute { self.finish(family, answer) }
        }
    }

    private func finish(_ family: IPAddress.Family, _ answer: Answer) {
        lookUps[family] = nil
        report?(family, answer)
    }

    /// Ends the step and its look-ups. Later answers are dropped.
    func cancel() {
        report = nil
        for lookUp in lookUps.values { lookUp.cancel() }
        lookUps = [:]
    }

    /// Ends the step. Its look-ups go on for a short time (``AddressCache/endSoon(_:)``).
    func leave() {
        report = nil
        guard !lookUps.isEmpty else { return }
        cache.endSoon(Array(lookUps.values))
        lookUps = [:]
    }
}
