import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import NIOPosix

/// A resolver whose look-ups wait until a test answers them. A slow or dead DNS server looks like this to a dial.
///
/// A look-up that is cancelled goes on waiting, as with a resolver that ignores its cancellation. Answers are not kept,
/// so each dial asks.
final class StalledNames: ServiceResolver {
    private struct LookUp {
        let family: IPAddress.Family
        let continuation: CheckedContinuation<ResolvedAddresses, any Error>
    }

    private struct State {
        var pending: [LookUp] = []
        /// Look-ups that have not returned.
        var underway = 0
        var isOver = false
    }

    private let state = Guarded(State())
    /// Open once a dial has asked for both families of a name.
    let asked = Gate()

    func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        state.withLock { $0.underway += 1 }
        defer { state.withLock { $0.underway -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            let (isOver, isAskedWhole) = state.withLock { state in
                if !state.isOver { state.pending.append(LookUp(family: family, continuation: continuation)) }
                return (state.isOver, Set(state.pending.map(\.family)).count == 2)
            }
            if isOver { continuation.resume(throwing: NameLookupError(.noSuchHost)) }
            if isAskedWhole { asked.open() }
        }
    }

    var options: TransportOptions {
        var options = TransportOptions()
        options.resolver = self
        return options
    }

    /// Answers all pending look-ups with 127.0.0.1, and with no IPv6 address.
    func answer() async throws {
        try await settle { family in
            let addresses = family == .v4 ? ["127.0.0.1"] : []
            return .success(ResolvedAddresses(addresses.compactMap { IPAddress($0) }, validFor: .zero))
        }
    }

    /// Answers all pending look-ups: there is no such name.
    func fail() async throws {
        try await settle { _ in .failure(NameLookupError(.noSuchHost)) }
    }

    /// Answers all pending and later look-ups: there is no such name.
    func end() async throws {
        state.withLock { $0.isOver = true }
        try await fail()
    }

    /// Answers the pending look-ups, and waits until they have returned and the client has had time to use the answers.
    private func settle(_ answer: (IPAddress.Family) -> Result<ResolvedAddresses, any Error>) async throws {
        let pending = state.withLock { state in
            defer { state.pending = [] }
            return state.pending
        }
        for lookUp in pending { lookUp.continuation.resume(with: answer(lookUp.family)) }
        try await eventually("the look-ups to return") { state.withLock { $0.underway == 0 } }
        // A few turns of each loop for the effects. Too few turns cannot fail a test that is right.
        for _ in 0..<5 {
            await Task.yield()
            for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() { try await loop.submit {}.get() }
        }
    }
}

extension StalledNames {
    /// Runs `body` with a client of `http://stalled.test`, a name whose resolution waits for the test.
    static func with(
        configure: (inout ClientConfiguration, inout TransportOptions) throws -> Void = { _, _ in },
        _ body: (ServiceClient, PooledTransport, StalledNames, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            let names = StalledNames()
            var configuration = ClientConfiguration()
            configuration.retry = .never
            var options = names.options
            try configure(&configuration, &options)
            options.clock = configuration.clock
            options.connectTimeout = configuration.timeouts.connect
            let transport = try PooledTransport(options: options)
            let client = try ServiceClient(baseURL: "http://stalled.test:\(server.port)", transport: transport) {
                $0 = configuration
            }
            do {
                try await body(client, transport, names, server)
            } catch {
                try await names.end()
                await client.shutdown(within: .zero)
                throw error
            }
            try await names.end()
            await client.shutdown(within: .zero)
        }
    }
}
