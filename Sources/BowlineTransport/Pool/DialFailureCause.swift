/// The reason why a dial failed, as far as it matters to the waiting requests.
enum DialFailureCause: Sendable, Hashable {
    /// The peer or the path to it failed, or a time limit passed.
    case peer
    /// This machine had no file descriptor, port or memory left for the socket. The open connections still work.
    case resources
}
