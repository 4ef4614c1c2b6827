extension ServiceURL {
    /// The longest `Location` that is followed, in bytes: twice the request line that services accept.
    package static let maximumLocationBytes = 16_384

    /// Whether a reference that a peer sent has a replacement character (U+FFFD), as over HTTP/2 in place of bytes that are not
    /// UTF-8: it would lead elsewhere than the service meant.
    ///
    /// - Parameter reference: Its bytes. Looked at up to ``maximumLocationBytes``: a longer one is refused for its length.
    package static func hasLostBytes<Bytes: RandomAccessCollection<UInt8>>(_ reference: Bytes) -> Bool
    where Bytes.Index == Int {
        let bytes = reference.prefix(maximumLocationBytes)
        guard bytes.count >= 3 else { return false }
        // U+FFFD in UTF-8.
        return (bytes.startIndex...bytes.endIndex - 3).contains {
            bytes[$0] == 0xEF && bytes[$0 + 1] == 0xBF && bytes[$0 + 2] == 0xBD
        }
    }

    /// The URL that `reference` names in a response from this URL (RFC 3986 §5.2), as browsers, redirects and
    /// ``ServiceResponse/links`` resolve it.
    ///
    /// At `https://example.com/v1/orders?page=1`, `/v1/orders?page=2` is `https://example.com/v1/orders?page=2`, `42` is
    /// `/v1/42`, `?page=2` is `/v1/orders?page=2`, and `//other.example/x` is `https://other.example/x`. Unlike
    /// ``appending(_:)``, which is for references of your own, it may leave the base's path and its origin.
    ///
    /// The result is checked as any URL is: no user information, no control characters, `http` and `https` only. The
    /// fragment is dropped. A service on a Unix domain socket is `http://localhost` to itself: a reference that says so
    /// stays on the socket.
    ///
    /// - Parameter reference: At most 16 KiB.
    /// - Throws: ``ServiceError`` with code `invalidURL`.
    public func resolving(_ reference: String) throws -> ServiceURL {
        guard reference.utf8.count <= Self.maximumLocationBytes else {
            throw ServiceError(.invalidURL, "URL is longer than \(Self.maximumLocationBytes) bytes")
        }
        if let scheme = Self.scheme(of: reference) {
            guard reference[scheme.endIndex...].utf8.starts(with: "://".utf8) else {
                throw ServiceError(.invalidURL, "URL has an unknown scheme, or none before its host")
            }
            return onSocket(try ServiceURL(reference))
        }
        if reference.utf8.starts(with: "//".utf8) {
            return onSocket(try ServiceURL("\(origin.scheme.rawValue):\(reference)"))
        }
        return try followingRelative(reference)
    }

    /// A path, a query or a fragment, as seen from this URL.
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

    /// Whether a `Location` names a scheme, and one that is not ours.
    package static func hasForeignScheme(_ location: String) -> Bool {
        guard location.utf8.count <= maximumLocationBytes, let scheme = scheme(of: location) else { return false }
        return schemes[scheme.lowercased()] == nil
    }

    /// The text before a `:` that comes before any `/`, `?` and `#`, if it can be a scheme.
    private static func scheme(of text: String) -> Substring? {
        let end = text.utf8.firstIndex { $0 == 0x3A || $0 == 0x2F || $0 == 0x3F || $0 == 0x23 }
        guard let end, text.utf8[end] == UInt8(ascii: ":"), looksLikeScheme(text[..<end]) else { return nil }
        return text[..<end]
    }

    /// `other`, on this URL's socket if its authority is the one that a service on that socket gives itself.
    private func onSocket(_ other: ServiceURL) -> ServiceURL {
        guard origin.socketPath != nil, other.origin.socketPath == nil, other.origin.scheme == origin.scheme,
            other.origin.host == origin.host, other.origin.port == origin.port
        else { return other }
        return ServiceURL(origin: origin, path: other.path, query: other.query)
    }
}
