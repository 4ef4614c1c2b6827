/// How long a dial and each of its steps took. nil: the dial had no such step.
struct DialTimings: Sendable, Hashable {
    /// All steps together.
    var total = Duration.zero
    /// Name resolution, until the first address was known.
    var resolve: Duration?
    /// From the first address until a socket was connected.
    var connect: Duration?
    /// The TLS handshake with the proxy, if there is one, and the tunnel through the proxy.
    var tunnel: Duration?
    /// The TLS handshake with the origin.
    var tls: Duration?
}

/// The step in which a dial is.
enum DialStep: Sendable, Hashable {
    /// Loads the trusted certificates.
    case roots
    case resolve
    case connect
    case tunnel
    case secure
}
