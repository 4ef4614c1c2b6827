/// The work of a driver, read from the command line. It is the same for the drivers of all clients
/// (Benchmarks/README.md).
public struct Work: Sendable {
    public enum Mode: String, Sendable { case requests, idle, drain }

    public var mode: Mode
    public var url: String
    /// The number of workers, each with one request in flight.
    public var inFlight = 1
    /// The number of measured requests; with `idle` and `drain`, the number of requests at once.
    public var count = 1
    /// The number of requests before the measured ones.
    public var warmup = 0
    /// A PEM file with the authority that issued the server's certificate.
    public var authority: String?
    /// The expected length of the body in bytes; nil: any.
    public var expected: Int?
    /// The length of the body of a POST request in bytes; nil: GET.
    public var sent: Int?
    public var isCompressed = false
    public var isHTTP2 = false
    /// Whether the client offers only the key exchange of elliptic curves, if it can be told to.
    public var isClassical = false
    /// The number of connections that are opened before the requests.
    public var idle = 0
    /// Whether the workers run on an event loop of the client, if the client offers that.
    public var isOnEventLoop = false

    /// - Throws: ``Misuse`` for an invalid command line.
    public init(_ words: some Sequence<String>) throws {
        var words = Array(words)
        guard words.count >= 2, let mode = Mode(rawValue: words.removeFirst()) else { throw Misuse() }
        self.mode = mode
        url = words.removeFirst()
        while !words.isEmpty {
            let option = words.removeFirst()
            switch option {
            case "--gzip": isCompressed = true
            case "--h2": isHTTP2 = true
            case "--classical": isClassical = true
            case "--event-loop-executor": isOnEventLoop = true
            default:
                guard !words.isEmpty else { throw Misuse() }
                try set(option, to: words.removeFirst())
            }
        }
        guard count > 0, inFlight > 0, inFlight <= max(count, 1) else { throw Misuse() }
    }

    private mutating func set(_ option: String, to word: String) throws {
        if option == "--ca" {
            authority = word
            return
        }
        guard let number = Int(word), number >= 0 else { throw Misuse() }
        switch option {
        case "-c": inFlight = number
        case "-n": count = number
        case "--warmup": warmup = number
        case "--expect": expected = number
        case "--send": sent = number
        case "--idle": idle = number
        default: throw Misuse()
        }
    }
}

/// The error of an invalid command line.
public struct Misuse: Error, CustomStringConvertible {
    public init() {}

    public var description: String {
        """
        usage: DRIVER requests URL -c C -n N --warmup W [--ca FILE] [--expect BYTES] [--send BYTES] [--gzip] [--h2] [--classical] \
        [--event-loop-executor] [--idle K]
               DRIVER idle|drain URL -n K [--ca FILE] [--expect BYTES]
        """
    }
}
