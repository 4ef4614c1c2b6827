internal import BowlinePlatform
internal import Dispatch

/// SIGINT and SIGTERM as calls of a closure, instead of the process's end.
struct TerminationSignals {
    private let sources: [any DispatchSourceSignal]

    /// Listens from now on; the process does not end by these signals any more, nor by writing to a pipe nobody reads.
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

    /// Ends the process here and now.
    static func leave() -> Never {
        exit(1)
    }
}
