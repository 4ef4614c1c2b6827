public import BowlineCore
internal import BowlineTransport

/// Looks up host names with the system's resolver (`getaddrinfo`), which reads `/etc/hosts` and asks the name servers.
///
/// A client without a resolver of its own uses it. In a ``ServiceResolver`` of your own, call it for the names that you
/// do not know yourself. All values of this type, and all clients of the process, share one set of threads: at most 32
/// look-ups run at a time, and no thread of an event loop or of Swift's executors waits for them.
public struct SystemAddresses: ServiceResolver {
    /// Makes the resolver. All values of this type are the same resolver.
    public init() {}

    /// Returns the system's addresses of `host` that belong to `family`, for 30 s.
    ///
    /// - Throws: ``NameLookupError``; `CancellationError` as soon as the task is cancelled.
    public func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        try await SystemResolver.shared.resolve(host, family)
    }
}

extension FixedAddresses {
    /// Makes a resolver with fixed addresses for some hosts. The system's resolver answers for all other hosts.
    ///
    /// ```swift
    /// $0.resolver = FixedAddresses(["api.example.com": [newServer]])
    /// ```
    /// - Parameter addresses: The addresses of each host, of both families, in the order in which the client tries
    ///   them; see ``init(_:otherwise:)``.
    public init(_ addresses: [String: [IPAddress]]) {
        self.init(addresses, otherwise: SystemAddresses())
    }
}
