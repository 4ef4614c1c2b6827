internal import BowlineCore
internal import NIOPosix

/// Keeps the newest context of a client whose identity is in files.
///
/// The files are looked at and read on a thread for blocking work. No dial waits for this: until it is done, the dials
/// use the previous context. If a disk never answers, the client keeps its context.
final class IdentityRenewal<Context: Sendable, Stamp: Equatable & Sendable>: Sendable {
    private struct State: ~Copyable {
        var renewed: Context?
        var watch: IdentityWatch<Stamp>
    }

    private let state: Guarded<State>
    private let clock: any ServiceClock
    private let threads: NIOThreadPool
    private let look: @Sendable () -> Stamp
    private let make: @Sendable () throws -> Context
    private let warn: @Sendable (String) -> Void

    /// - Parameters:
    ///   - stamp: The stamp of the files, taken before they were read for the first time.
    ///   - threads: The threads on which `look` and `make` run. Both may block.
    ///   - look: Returns the stamp of the files.
    ///   - make: Reads the files and makes a context.
    ///   - warn: Logs a message. Called if `make` has thrown.
    init(
        _ stamp: Stamp, clock: any ServiceClock, on threads: NIOThreadPool = .singleton,
        look: @escaping @Sendable () -> Stamp, make: @escaping @Sendable () throws -> Context,
        warn: @escaping @Sendable (String) -> Void
    ) {
        state = Guarded(State(renewed: nil, watch: IdentityWatch(stamp, now: clock.now)))
        self.clock = clock
        self.threads = threads
        self.look = look
        self.make = make
        self.warn = warn
    }

    /// The context with the newest identity; nil: the files have not changed since the client was made.
    var renewed: Context? { state.withLock { $0.renewed } }

    /// Looks at the files on another thread if it is time, and makes a new context if they have changed.
    func dialled() {
        let now = clock.now
        guard state.withLock({ $0.watch.dialled(now: now) }) else { return }
        threads.submit { _ in self.update() }
    }

    private func update() {
        let stamp = look()
        guard state.withLock({ $0.watch.looked(stamp) }) == .read else { return }
        do {
            use(try make())
        } catch {
            state.withLock { $0.watch.read() }
            let reason = (error as? ServiceError)?.message ?? (error as? FileFailure)?.message ?? "\(type(of: error))"
            warn("the changed files of tls.identity cannot be used, so the client keeps its certificate (\(reason))")
        }
    }

    private func use(_ context: Context) {
        // The previous context is released after the lock.
        _ = state.withLock { state -> Context? in
            let previous = state.renewed
            state.renewed = context
            state.watch.read()
            return previous
        }
    }
}
