/// Why a dial failed, as far as it matters to the waiting requests.
enum DialFailureCause: Sendable, Hashable {
    /// The peer, the path to it, or a time limit.
    case peer
    /// This machine had no file descriptor, port or memory left for the socket. The open connections still work.
    case resources
}
