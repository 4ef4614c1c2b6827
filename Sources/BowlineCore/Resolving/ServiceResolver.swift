/// Finds the addresses of host names.
///
/// Set `ClientConfiguration.resolver` to use a resolver of your own, for example for the names of a service registry. For
/// a few names with fixed addresses use ``FixedAddresses``. By default the client asks the system.
///
/// ```swift
/// struct Registry: ServiceResolver {
///     let instances: [String: [IPAddress]]
///
///     func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
///         guard let all = instances[host] else { throw NameLookupError(.noSuchHost) }
///         return ResolvedAddresses(all.filter { $0.family == family }, validFor: .seconds(5))
///     }
/// }
/// ```
/// A dial that needs the addresses of a name calls the resolver twice: once for IPv6 and once for IPv4. The dial starts
/// both calls at the same time, on any thread. The client keeps the answers (``ResolvedAddresses/validFor``), and a
/// dial that finds both kept answers does not call the resolver. There is at most one call at a time for each name and
/// family: all dials that need the answer wait for that call.
///
/// The client never looks up these hosts:
/// - IP addresses, for example `192.0.2.1` or `[::1]`.
/// - `localhost` and names that end in `.localhost`: they mean `::1` and `127.0.0.1` (RFC 6761 §6.3).
/// - Unix domain sockets.
public protocol ServiceResolver: Sendable {
    /// Returns the addresses of `host` that belong to `family`. Must not block its thread.
    ///
    /// The task of the call is cancelled when the last dial that waits for the answer ends, for example because
    /// `timeouts.connect` has passed. Those dials end at once. They do not wait until the call returns, and the client
    /// drops its answer.
    ///
    /// - Parameters:
    ///   - host: A name in lower case, as in the URL: a trailing dot is kept.
    ///   - family: The family of the addresses.
    /// - Returns: The addresses, in the order in which the client tries them. Empty: the host exists and has no address
    ///   of this family. Addresses of the other family are ignored.
    /// - Throws: ``NameLookupError``. Throw ``NameLookupError/Reason/noSuchHost`` only if the name does not exist: the
    ///   client then forgets older answers. After any other reason the client may use an answer that is up to one hour
    ///   too old. Another error counts as ``NameLookupError/Reason/other``, and its description becomes the detail. If
    ///   the client has no address to try, the request fails with `nameResolutionFailed`, and
    ///   ``ServiceError/underlying`` is the error.
    func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses
}

/// The addresses of one host and one family.
public struct ResolvedAddresses: Sendable, Hashable {
    /// The addresses, in the order in which the client tries them (RFC 6724). Empty: the host has no address of the
    /// family.
    public var addresses: [IPAddress]
    /// How long the client uses the addresses before it calls the resolver again, for example the TTL of a DNS record.
    /// Zero or less: every dial calls the resolver. nil: 30 s.
    public var validFor: Duration?

    /// Makes an answer.
    ///
    /// - Parameters:
    ///   - addresses: The addresses, in the order in which the client tries them.
    ///   - validFor: How long the client uses the addresses before it calls the resolver again; nil: 30 s.
    public init(_ addresses: [IPAddress], validFor: Duration? = nil) {
        self.addresses = addresses
        self.validFor = validFor
    }
}
