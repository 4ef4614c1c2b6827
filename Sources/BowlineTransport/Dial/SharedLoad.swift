internal import BowlineCore
internal import NIOCore
internal import NIOPosix

/// Names one that waits for a ``SharedLoad``.
struct SharedLoadTicket: Sendable, Hashable {
    fileprivate let number: Int
}

/// Loads a value once, on a thread for blocking work, for all that ask for it.
///
/// No event loop runs the load, and no lock is held while it runs. If it fails, all that wait get the error, and the next
/// that asks begins a new load. A load cannot be stopped, and may never end: a dial that ends before it is forgotten.
final class SharedLoad<Value: Sendable>: Sendable {
    typealias Callback = @Sendable (Result<Value, any Error>) -> Void

    private struct Waiter: Sendable {
        let loop: any EventLoop
        let callback: Callback
    }

    private enum State {
        case idle
        case underway([Int: Waiter])
        case loaded(Value)
    }

    private enum Next {
        case wait(SharedLoadTicket)
        case begin(SharedLoadTicket)
        case use(Value)
    }

    private struct Shared {
        var state = State.idle
        var tickets = 0
    }

    private let shared = Guarded(Shared())
    private let threads: NIOThreadPool
    private let load: @Sendable () throws -> Value

    /// - Parameters:
    ///   - threads: Where `load` runs.
    ///   - load: May block.
    init(on threads: NIOThreadPool = .singleton, _ load: @escaping @Sendable () throws -> Value) {
        self.threads = threads
        self.load = load
    }

    /// Calls back on `loop`, which is the caller's: at once if the value is there, else when it is or cannot be.
    ///
    /// - Returns: What ``forget(_:)`` wants; nil: it has called back.
    func whenLoaded(on loop: any EventLoop, _ callback: @escaping Callback) -> SharedLoadTicket? {
        let waiter = Waiter(loop: loop, callback: callback)
        let next = shared.withLock { shared -> Next in
            if case .loaded(let value) = shared.state { return .use(value) }
            shared.tickets += 1
            let ticket = SharedLoadTicket(number: shared.tickets)
            guard case .underway(var waiting) = shared.state else {
                shared.state = .underway([ticket.number: waiter])
                return .begin(ticket)
            }
            // One reference: the dictionary is not copied.
            shared.state = .idle
            waiting[ticket.number] = waiter
            shared.state = .underway(waiting)
            return .wait(ticket)
        }
        switch next {
        case .wait(let ticket): return ticket
        case .use(let value):
            callback(.success(value))
            return nil
        case .begin(let ticket):
            threads.submit { _ in self.finish(Result { try self.load() }) }
            return ticket
        }
    }

    /// Does not call back the one that got this ticket. The load goes on.
    func forget(_ ticket: SharedLoadTicket) {
        // What the callback holds is released outside the lock.
        _ = shared.withLock { shared -> Waiter? in
            guard case .underway(var waiting) = shared.state else { return nil }
            shared.state = .idle
            let waiter = waiting.removeValue(forKey: ticket.number)
            shared.state = .underway(waiting)
            return waiter
        }
    }

    private func finish(_ result: Result<Value, any Error>) {
        let waiting = shared.withLock { shared -> [Int: Waiter] in
            guard case .underway(let waiting) = shared.state else { return [:] }
            shared.state = (try? result.get()).map { .loaded($0) } ?? .idle
            return waiting
        }
        for (_, waiter) in waiting.sorted(by: { $0.key < $1.key }) {
            waiter.loop.execute { waiter.callback(result) }
        }
    }
}
