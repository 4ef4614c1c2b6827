/// The reason why a look-up found no addresses.
///
/// A ``ServiceResolver`` throws this error. A request that fails for it has a ``ServiceError`` with code
/// `nameResolutionFailed`, and this error is its ``ServiceError/underlying``.
public struct NameLookupError: Error, Hashable, Sendable {
    /// The kind of failure.
    public enum Reason: Sendable, Hashable {
        /// The name does not exist.
        case noSuchHost
        /// The name exists but has neither an IPv4 nor an IPv6 address. The client itself reports this reason when the
        /// answers for both families are empty. A resolver returns an empty answer instead.
        case noAddress
        /// The name servers did not answer, or reported that they cannot answer now.
        case temporary
        /// The zone of an IPv6 address is not an interface of this machine.
        case unknownZone
        /// This machine lacks what the look-up needs: descriptors, memory or threads.
        case noResources
        /// Anything else.
        case other
    }

    /// The kind of failure.
    public let reason: Reason
    /// The resolver's own message, or empty. It may appear in logs: leave secrets out.
    public let detail: String

    /// Makes an error.
    public init(_ reason: Reason, _ detail: String = "") {
        self.reason = reason
        self.detail = detail
    }
}

extension NameLookupError: CustomStringConvertible {
    /// The reason in words, and the detail.
    public var description: String {
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
