internal import NIOCore
internal import NIOPosix

/// Finds the addresses for one dial: calls a ``ServiceResolver``, and has the interface that SwiftNIO's Happy Eyeballs
/// needs.
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

    /// Starts the look-up, which returns the addresses of both families. SwiftNIO calls this first.
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

    /// Cancels the look-up, because SwiftNIO does not need the answer any more. SwiftNIO calls this function in the
    /// middle of its own work, so the promises complete after the return.
    func cancelQueries() {
        task?.cancel()
    }

    /// Ends the look-up because the dial is over. A later answer is dropped.
    func cancel() {
        task?.cancel()
        finish(.failure(DialFailure.cancelled), port: 0)
    }

    /// Completes both promises in one turn of the loop. If only one were complete, SwiftNIO would wait 50 ms for the
    /// other family.
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
