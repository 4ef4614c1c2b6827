internal import NIOCore
internal import NIOPosix

/// Asks a ``ServiceResolver`` for one dial, in the form that SwiftNIO's Happy Eyeballs wants.
// Safety: mutable state is touched on `eventLoop` only.
final class DialResolver: Resolver, @unchecked Sendable {
    private let resolver: any ServiceResolver
    private let eventLoop: any EventLoop
    private let ipv4: EventLoopPromise<[SocketAddress]>
    private let ipv6: EventLoopPromise<[SocketAddress]>
    private var task: Task<Void, Never>?
    private var isOver = false

    init(_ resolver: any ServiceResolver, eventLoop: any EventLoop) {
        self.resolver = resolver
        self.eventLoop = eventLoop
        ipv4 = eventLoop.makePromise()
        ipv6 = eventLoop.makePromise()
    }

    /// SwiftNIO asks for this first; both families come with one look-up.
    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        if !isOver {
            task = Task { [resolver, eventLoop] in
                let answer: Result<ResolvedAddresses, any Error>
                do {
                    answer = .success(try await resolver.resolve(host))
                } catch {
                    answer = .failure(error)
                }
                eventLoop.execute { self.finish(answer, port: port) }
            }
        }
        return ipv6.futureResult
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { ipv4.futureResult }

    /// SwiftNIO has no use for the answer. It calls this in the midst of a step of its own: the promises are kept later.
    func cancelQueries() {
        task?.cancel()
    }

    /// The dial is over: an answer that comes later is dropped.
    func cancel() {
        task?.cancel()
        finish(.failure(DialFailure.cancelled), port: 0)
    }

    /// Keeps both promises in one turn: otherwise SwiftNIO waits 50 ms for the other family.
    private func finish(_ answer: Result<ResolvedAddresses, any Error>, port: Int) {
        guard !isOver else { return }
        isOver = true
        task = nil
        switch answer {
        case .success(let resolved):
            ipv6.succeed(resolved.addresses.filter { $0.protocol == .inet6 }.map { $0.on(port) })
            ipv4.succeed(resolved.addresses.filter { $0.protocol == .inet }.map { $0.on(port) })
        case .failure(let error):
            ipv6.fail(error)
            ipv4.fail(error)
        }
    }
}

extension SocketAddress {
    /// The same address with another port.
    fileprivate func on(_ port: Int) -> SocketAddress {
        var address = self
        address.port = port
        return address
    }
}
