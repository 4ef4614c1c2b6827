internal import BowlineTesting

/// How the peer ends a connection, drawn from the run's seed and the connection's number.
enum StreamsEnd: Sendable, Hashable {
    /// The peer does not end the connection: the client runs out of stream numbers.
    case exhausted
    /// GOAWAY after this many requests. If it is announced, a GOAWAY with the last stream 2³¹ − 1 comes first (RFC 9113
    /// §6.8).
    case goAway(after: Int, isAnnounced: Bool)
    /// A reset of the connection after this many requests.
    case cut(after: Int)

    /// - Parameter streams: How many streams the connection has.
    init(_ random: inout SeededRandom, streams: Int) {
        let count = random.next(in: 1..<max(2, streams))
        switch random.next(in: 0..<10) {
        case 0..<6: self = .exhausted
        case 6, 7: self = .goAway(after: count, isAnnounced: false)
        case 8: self = .goAway(after: count, isAnnounced: true)
        default: self = .cut(after: count)
        }
    }
}

/// The values of the peer's SETTINGS.
struct StreamsSettings: Sendable, Hashable {
    /// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2).
    var window = 65_535
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    var streams = Int(UInt32.max)

    private static let windows = [1, 100, 5_000, 16_384, 65_535, 1_048_576]
    private static let limits = [1, 3, 20, 100, 256]

    /// The two settings as entries of a SETTINGS frame.
    var windowEntry: (UInt16, UInt32) { (4, UInt32(clamping: window)) }
    var limitEntry: (UInt16, UInt32) { (3, UInt32(clamping: streams)) }

    /// Draws both settings.
    static func drawn(_ random: inout SeededRandom) -> StreamsSettings {
        StreamsSettings(window: window(&random), streams: limit(&random))
    }

    static func window(_ random: inout SeededRandom) -> Int { windows[random.next(in: 0..<windows.count)] }

    static func limit(_ random: inout SeededRandom) -> Int { limits[random.next(in: 0..<limits.count)] }
}
