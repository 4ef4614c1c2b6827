/// Says what a dial failed for, as far as it matters to the requests that wait.
enum DialFailureCause: Sendable, Hashable {
    /// The peer, the path to it, or a time limit.
    case peer
    /// This machine had no file descriptor, port or memory left for the socket. The connections that are open still work.
    case resources
}
