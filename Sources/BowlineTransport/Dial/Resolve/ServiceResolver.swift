package import NIOCore

/// Finds the addresses of a host name.
///
/// Users may supply a resolver here in the future; today there is only the system's, ``SystemResolver``. A dial calls
/// the resolver once, in a task. That task is cancelled when the dial is cancelled or times out. IP addresses are never
/// looked up.
package protocol ServiceResolver: Sendable {
    /// Returns the addresses of `host`.
    ///
    /// - Parameter host: A name in lower case, as in the URL: a trailing dot is kept.
    /// - Throws: ``NameLookupError``; `CancellationError` when the task is cancelled.
    func resolve(_ host: String) async throws -> ResolvedAddresses
}

/// The addresses of one host.
package struct ResolvedAddresses: Sendable, Equatable {
    /// The addresses, in the order in which they should be tried (RFC 6724). Their ports are ignored.
    package var addresses: [SocketAddress]
    /// How long the addresses are valid; nil: the resolver does not know. The client does not cache addresses yet.
    package var validFor: Duration?

    package init(_ addresses: [SocketAddress], validFor: Duration? = nil) {
        self.addresses = addresses
        self.validFor = validFor
    }
}

/// The reason why a name has no addresses.
package struct NameLookupError: Error, Hashable {
    /// The kind of failure.
    package enum Reason: Sendable {
        /// The name does not exist.
        case noSuchHost
        /// The name exists but has no IPv4 or IPv6 address.
        case noAddress
        /// The name servers did not answer, or reported that they cannot answer now.
        case temporary
        /// The zone of an IPv6 address is not an interface of this machine.
        case unknownZone
        /// This machine lacks what the look-up needs.
        case noResources
        /// Anything else.
        case other
    }

    package let reason: Reason
    /// The system's own message, or empty.
    package let detail: String

    package init(_ reason: Reason, _ detail: String = "") {
        self.reason = reason
        self.detail = detail
    }
}

extension NameLookupError: CustomStringConvertible {
    package var description: String {
        let text =
            switch reason {
            case .noSuchHost: "there is no such host"
            case .noAddress: "the host has no address"
            case .temporary: "the name servers did not answer; this may be temporary"
            case .unknownZone: "the zone of the IPv6 address is no interface of this machine"
            case .noResources: "this machine lacks resources for the look-up"
            case .other: "the look-up failed"
            }
        return detail.isEmpty ? text : "\(text) (\(detail))"
    }
}
