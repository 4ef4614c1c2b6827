/// What a dial is expected to make, by what is known of the origin.
enum DialExpectation: Sendable, Hashable {
    /// A connection for one request at a time.
    case single
    /// Nobody knows yet: one dial finds out, while all requests wait for it.
    case unknown
    /// A connection that carries so many requests at once, as the last one did.
    case streams(Int)

    /// How many waiting requests one dial will do for.
    var coverage: Int {
        switch self {
        case .single: 1
        case .unknown: .max
        case .streams(let count): max(1, count)
        }
    }

    /// How many dials so many waiting requests need.
    func dials(for waiters: Int) -> Int {
        switch self {
        case .single: waiters
        case .unknown: min(1, waiters)
        case .streams: waiters / coverage + (waiters % coverage > 0 ? 1 : 0)
        }
    }
}
