/// A resolver that knows the addresses of some hosts, as curl's `--resolve`. It asks another resolver for all other
/// hosts.
///
/// Use it to send the requests for a name to a machine of your choice, for example to test a new server before its name
/// leads to it. TLS and the `Host` field still use the name.
public struct FixedAddresses: ServiceResolver {
    private let addresses: [String: [IPAddress]]
    private let next: (any ServiceResolver)?

    /// Makes a resolver.
    ///
    /// - Parameters:
    ///   - addresses: The addresses of each host, of both families, in the order in which the client tries them. Names
    ///     are compared without case. A name with a trailing dot is a different name. A host without addresses cannot
    ///     be reached.
    ///   - next: The resolver for all other hosts; nil: other hosts do not exist.
    public init(_ addresses: [String: [IPAddress]], otherwise next: (any ServiceResolver)?) {
        self.addresses = Dictionary(addresses.sorted { $0.key < $1.key }.map { ($0.key.lowercased(), $0.value) }) {
            $0 + $1
        }
        self.next = next
    }

    /// Returns the fixed addresses of `host`, or the other resolver's answer.
    ///
    /// - Throws: ``NameLookupError`` with the reason `noSuchHost` if the host has no fixed addresses and there is no
    ///   other resolver; any error of the other resolver.
    public func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        if let all = addresses[host] { return ResolvedAddresses(all.filter { $0.family == family }) }
        guard let next else { throw NameLookupError(.noSuchHost) }
        return try await next.resolve(host, family)
    }
}
