internal import BowlineCore
internal import NIOCore
internal import NIOPosix

/// Names a caller that waits for a ``SharedLoad``.
struct SharedLoadTicket: Sendable, Hashable {
    fileprivate let number: Int
}

/// Loads a value once, on a thread for blocking work, and shares it with all callers.
///
/// The load does not run on an event loop, and no lock is held while it runs. If it fails, all waiting callers get the
/// error, and the next caller begins a new load. A load cannot be stopped, and it may never end. So a dial that ends
/// before the load calls ``forget(_:)``.
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
    ///   - threads: The threads on which `load` runs.
    ///   - load: Loads the value. It may block.
    init(on threads: NIOThreadPool = .singleton, _ load: @escaping @Sendable () throws -> Value) {
        self.threads = threads
        self.load = load
    }

    /// Calls `callback` on `loop`: at once if the value is loaded already, else when the load ends. Call this function
    /// on `loop`.
    ///
    /// - Returns: The argument for ``forget(_:)``; nil: the callback has been called.
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
            // Makes `waiting` the only reference to the dictionary, so that the change does not copy it.
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

    /// Removes the callback of the call that returned this ticket. The load continues.
    func forget(_ ticket: SharedLoadTicket) {
        // The callback, and everything that it retains, is released after the lock.
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
