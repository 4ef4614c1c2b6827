/// The kind of connection that a dial is expected to make, from the facts that are known about the origin.
enum DialExpectation: Sendable, Hashable {
    /// A connection for one request at a time.
    case single
    /// The kind is not known yet. One dial finds it out, and all requests wait for that dial.
    case unknown
    /// A connection that carries this many requests at once, like the origin's last connection.
    case streams(Int)

    /// How many waiting requests one dial covers.
    var coverage: Int {
        switch self {
        case .single: 1
        case .unknown: .max
        case .streams(let count): max(1, count)
        }
    }

    /// How many dials that many waiting requests need.
    func dials(for waiters: Int) -> Int {
        switch self {
        case .single: waiters
        case .unknown: min(1, waiters)
        case .streams: waiters / coverage + (waiters % coverage > 0 ? 1 : 0)
        }
    }
}
