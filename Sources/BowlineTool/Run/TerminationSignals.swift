internal import BowlinePlatform
internal import Dispatch

/// Calls a closure on SIGINT and SIGTERM, which then do not end the process.
struct TerminationSignals {
    private let sources: [any DispatchSourceSignal]

    /// Begins to listen. From now on neither these signals nor a write to a pipe without a reader end the process.
    init(onSignal: @escaping @Sendable () -> Void) {
        signal(SIGPIPE, SIG_IGN)
        let queue = DispatchQueue(label: "bowline.signals")
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler(handler: onSignal)
            source.resume()
            return source
        }
    }

    func cancel() {
        for source in sources { source.cancel() }
    }

    /// Ends the process at once, with status 1.
    static func leave() -> Never {
        exit(1)
    }
}
