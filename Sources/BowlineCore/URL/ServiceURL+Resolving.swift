extension ServiceURL {
    /// The maximum length of a `Location` that is followed, in bytes. It is twice as long as the request lines that
    /// services accept.
    package static let maximumLocationBytes = 16_384

    /// Whether a reference from a peer contains a replacement character (U+FFFD), which over HTTP/2 replaces bytes that
    /// are not UTF-8. Such a reference would lead to another URL than the service meant.
    ///
    /// - Parameter reference: The bytes of the reference. Only the first ``maximumLocationBytes`` are checked: a longer
    ///   reference is refused because of its length.
    package static func hasLostBytes<Bytes: RandomAccessCollection<UInt8>>(_ reference: Bytes) -> Bool
    where Bytes.Index == Int {
        let bytes = reference.prefix(maximumLocationBytes)
        guard bytes.count >= 3 else { return false }
        // U+FFFD in UTF-8.
        return (bytes.startIndex...bytes.endIndex - 3).contains {
            bytes[$0] == 0xEF && bytes[$0 + 1] == 0xBF && bytes[$0 + 2] == 0xBD
        }
    }

    /// Returns the URL of a `reference` that a response from this URL contains (RFC 3986 §5.2), as browsers, redirects
    /// and ``ServiceResponse/links`` resolve it.
    ///
    /// At `https://example.com/v1/orders?page=1`, `/v1/orders?page=2` is `https://example.com/v1/orders?page=2`, `42`
    /// is `/v1/42`, `?page=2` is `/v1/orders?page=2`, and `//other.example/x` is `https://other.example/x`. The result
    /// may have another path or origin than the base. For references that your program wrote, use ``appending(_:)``:
    /// its result stays below the base, unless the reference is an absolute URL.
    ///
    /// The result is checked in the same way as any URL: no user information, no control characters, and a known
    /// scheme. The fragment is dropped. A service on a Unix domain socket uses `http://localhost` in its own URLs. Such
    /// a reference stays on the socket. A service does not know the zone of its IPv6 address on this machine: a
    /// reference to the same address without a zone keeps this URL's zone.
    ///
    /// - Parameter reference: The reference, at most 16 KiB.
    /// - Throws: ``ServiceError`` with code `invalidURL`.
    public func resolving(_ reference: String) throws -> ServiceURL {
        guard reference.utf8.count <= Self.maximumLocationBytes else {
            throw ServiceError(.invalidURL, "URL is longer than \(Self.maximumLocationBytes) bytes")
        }
        if let scheme = Self.scheme(of: reference) {
            guard reference[scheme.endIndex...].utf8.starts(with: "://".utf8) else {
                throw ServiceError(.invalidURL, "URL has an unknown scheme, or none before its host")
            }
            return atOwnOrigin(try ServiceURL(reference))
        }
        if reference.utf8.starts(with: "//".utf8) {
            return atOwnOrigin(try ServiceURL("\(origin.scheme.rawValue):\(reference)"))
        }
        return try followingRelative(reference)
    }

    /// Resolves a path, a query or a fragment relative to this URL.
    private func followingRelative(_ reference: String) throws -> ServiceURL {
        switch reference.utf8.first {
        case UInt8(ascii: "/"):
            let (path, query) = try Self.splitTarget(reference[...], at: "URL")
            return ServiceURL(origin: origin, path: path, query: query)
        case nil, UInt8(ascii: "#"):
            _ = try Self.splitTarget(reference[...], at: "URL")
            return self
        case UInt8(ascii: "?"):
            let (_, query) = try Self.splitTarget(reference[...], at: "URL")
            return ServiceURL(origin: origin, path: path, query: query)
        default:
            // RFC 3986 §5.2.3: the part after the last slash of the path is replaced.
            let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? "/"
            let target = try Self.splitTarget((folder + reference)[...], at: "URL")
            return ServiceURL(origin: origin, path: target.path, query: target.query)
        }
    }

    /// Whether a `Location` names a scheme that Bowline does not support.
    package static func hasForeignScheme(_ location: String) -> Bool {
        guard location.utf8.count <= maximumLocationBytes, let scheme = scheme(of: location) else { return false }
        return schemes[scheme.lowercased()] == nil
    }

    /// The text before the first `:`, if it can be a scheme and no `/`, `?` or `#` comes before the `:`.
    private static func scheme(of text: String) -> Substring? {
        let end = text.utf8.firstIndex { $0 == 0x3A || $0 == 0x2F || $0 == 0x3F || $0 == 0x23 }
        guard let end, text.utf8[end] == UInt8(ascii: ":"), looksLikeScheme(text[..<end]) else { return nil }
        return text[..<end]
    }

    /// Returns `other`. If `other` has the authority that the service at this URL's origin uses in its own URLs, the
    /// result has this URL's origin: the service knows neither its socket nor the zone of its address.
    private func atOwnOrigin(_ other: ServiceURL) -> ServiceURL {
        guard other.origin.socketPath == nil, other.origin.scheme == origin.scheme, other.origin.port == origin.port,
            other.origin.host == hostWithoutZone, origin != other.origin
        else { return other }
        return ServiceURL(origin: origin, path: other.path, query: other.query)
    }

    /// The host without the zone of an IPv6 address.
    private var hostWithoutZone: Substring { origin.host.prefix { $0 != "%" } }
}
