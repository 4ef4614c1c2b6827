/// The step in which a dial is.
enum DialStep: Sendable, Hashable {
    /// Loads the trusted certificates.
    case trust
    case resolve
    case connect
    /// TLS with the proxy, and the tunnel.
    case tunnel
    /// The look-up of the origin's name, for a SOCKS proxy that gets an address.
    case resolveTarget
    /// TLS with the origin.
    case secure
}

/// The error that ended a dial, and the step that failed.
struct DialStepFailure: Error {
    let cause: any Error
    let step: DialStep
}
