package import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import Synchronization

/// What a transport is made of.
package struct TransportOptions: Sendable {
    package var pool = PoolOptions()
    package var connection = ConnectionOptions()
    package var tls = TLSOptions()
    /// Bounds one dial; see ``Timeouts/connect``.
    package var connectTimeout: Duration? = .seconds(10)
    package var clock: any ServiceClock = MonotonicClock()
    /// Numbers from 0 up to 1, for what is spread at random.
    package var random: @Sendable () -> Double = { Double.random(in: 0..<1) }

    package init() {}
}

/// What all origins of a client share.
final class TransportEnvironment: Sendable {
    let options: TransportOptions
    let loops: ClientLoops
    let tls: TLSContext
    let census = ChannelCensus()
    var clock: any ServiceClock { options.clock }
    private let connectionsMade = Atomic(0)

    init(options: TransportOptions, group: any EventLoopGroup) throws {
        self.options = options
        tls = try TLSContext(options.tls)
        loops = ClientLoops(group: group) { loop in
            DeadlineSweep(timer: LoopTimer(eventLoop: loop, clock: options.clock))
        }
    }

    func nextConnectionID() -> ConnectionID {
        ConnectionID(connectionsMade.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

/// How many channels are open, for a shutdown that waits for the last to close.
final class ChannelCensus: Sendable {
    private struct State {
        var open = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let state = Locked(State())

    var open: Int { state.withLock { $0.open } }

    func opened(_ channel: any Channel) {
        state.withLock { $0.open += 1 }
        channel.closeFuture.whenComplete { _ in self.closed() }
    }

    private func closed() {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.open -= 1
            guard state.open == 0 else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when no channel is open, or when the task is cancelled.
    func waitUntilNoneIsOpen() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state -> Bool in
                    if state.open == 0 || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
