internal import BowlinePool
internal import NIOCore
internal import NIOPosix

/// Loads a value once, on a thread for blocking work, for all that ask for it.
///
/// No event loop runs the load, and no lock is held while it runs. If it fails, all that wait get the error, and the next
/// that asks begins a new load.
final class SharedLoad<Value: Sendable>: Sendable {
    typealias Callback = @Sendable (Result<Value, any Error>) -> Void

    private enum State {
        case idle
        case underway([(loop: any EventLoop, callback: Callback)])
        case loaded(Value)
    }

    private enum Next {
        case wait
        case begin
        case use(Value)
    }

    private let state = Locked(State.idle)
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
    func whenLoaded(on loop: any EventLoop, _ callback: @escaping Callback) {
        let next = state.withLock { state -> Next in
            switch state {
            case .loaded(let value): return .use(value)
            case .underway(var waiting):
                waiting.append((loop, callback))
                state = .underway(waiting)
                return .wait
            case .idle:
                state = .underway([(loop, callback)])
                return .begin
            }
        }
        switch next {
        case .wait: break
        case .use(let value): callback(.success(value))
        case .begin: threads.submit { _ in self.finish(Result { try self.load() }) }
        }
    }

    private func finish(_ result: Result<Value, any Error>) {
        let waiting = state.withLock { state -> [(loop: any EventLoop, callback: Callback)] in
            guard case .underway(let waiting) = state else { return [] }
            state = (try? result.get()).map { .loaded($0) } ?? .idle
            return waiting
        }
        for (loop, callback) in waiting { loop.execute { callback(result) } }
    }
}
