import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import NIOPosix

/// Names that resolve when a test says so. A slow or dead DNS server looks like this to a dial.
final class StalledNames: Sendable {
    private struct Query: Resolver {
        let loop: any EventLoop
        let ipv4: EventLoopPromise<[SocketAddress]>
        let ipv6: EventLoopPromise<[SocketAddress]>
        let asked: Gate

        func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { ipv6.futureResult }

        func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
            asked.open()
            return ipv4.futureResult
        }

        func cancelQueries() {}
    }

    private struct Unknown: Error {}

    private struct State {
        var pending: [Query] = []
        var isOver = false
    }

    private let state = Guarded(State())
    /// Open once a name has been asked for.
    let asked = Gate()

    var options: TransportOptions {
        var options = TransportOptions()
        options.makeResolver = { loop in
            let query = Query(
                loop: loop, ipv4: loop.makePromise(of: [SocketAddress].self),
                ipv6: loop.makePromise(of: [SocketAddress].self), asked: self.asked
            )
            let isOver = self.state.withLock { state in
                if !state.isOver { state.pending.append(query) }
                return state.isOver
            }
            if isOver {
                query.ipv6.succeed([])
                query.ipv4.fail(Unknown())
            }
            return query
        }
        return options
    }

    /// Answers all pending questions with 127.0.0.1. The immediate effects have happened when this returns.
    func answer(port: Int) async throws {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        try await settle { $0.succeed([address]) }
    }

    /// Answers all pending questions: there is no such name.
    func fail() async throws {
        try await settle { $0.fail(Unknown()) }
    }

    /// Answers all pending and later questions: there is no such name.
    func end() async throws {
        state.withLock { $0.isOver = true }
        try await fail()
    }

    private func settle(_ end: @escaping @Sendable (EventLoopPromise<[SocketAddress]>) -> Void) async throws {
        let queries = state.withLock { state in
            defer { state.pending = [] }
            return state.pending
        }
        for query in queries {
            try await query.loop.submit {
                query.ipv6.succeed([])
                end(query.ipv4)
            }.get()
            // One turn of the loop for the effects of the answer.
            try await query.loop.submit {}.get()
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
