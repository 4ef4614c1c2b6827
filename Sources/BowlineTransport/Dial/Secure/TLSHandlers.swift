internal import NIOSSL

/// The handlers of TLS with one peer. The channel to a TLS proxy has a second set within the first one, for the origin.
/// So a search of the pipeline by type would find the proxy's handlers.
struct TLSHandlers {
    let boundary: TLSRecordBoundary
    /// Runs the program's own check of the peer; nil: there is no such check.
    let gate: PeerGate?
    let tls: NIOSSLClientHandler
}
