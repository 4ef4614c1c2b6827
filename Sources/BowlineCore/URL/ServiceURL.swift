/// An absolute URL for a request: the origin to connect to, and the target to request.
///
/// Schemes: `http`, `https`, and `http+unix`, `https+unix` with the socket's path percent-encoded as the host
/// (`http+unix://%2Frun%2Fapi.sock/v1`). User information (`user:password@`) is refused, fragments are dropped, and dot
/// segments are removed (RFC 3986 §5.2.4). Characters that a URL must not contain are percent-encoded. A `%XX` in the
/// text stays unchanged.
public struct ServiceURL: Sendable, Hashable {
    /// The origin to connect to.
    public let origin: Origin
    /// The path, percent-encoded; begins with `/`.
    public let path: String
    /// The query after the `?`, percent-encoded; nil: the URL has none.
    public let query: String?

    init(origin: Origin, path: String, query: String?) {
        self.origin = origin
        self.path = path
        self.query = query
    }

    /// Makes the URL of an origin with the path `/`.
    package init(rootOf origin: Origin) {
        self.init(origin: origin, path: "/", query: nil)
    }

    /// Parses an absolute URL.
    ///
    /// - Throws: ``ServiceError`` with code `invalidURL`. The message says which part is wrong.
    public init(_ text: String) throws {
        guard let separator = text.utf8.firstRange(ofColonSlashSlash: ()) else {
            throw ServiceError(.invalidURL, "URL must be absolute: a scheme, ://, and a host")
        }
        let schemeName = text[..<separator].lowercased()
        guard let (scheme, isSocket) = Self.schemes[schemeName] else {
            throw ServiceError(
                .invalidURL, "URL has an unknown scheme: use http, https, http+unix or https+unix"
            )
        }
        let rest = text[text.utf8.index(separator, offsetBy: 3)...]
        let authorityEnd =
            rest.utf8.firstIndex { $0 == 0x2F || $0 == 0x3F || $0 == 0x23 || $0 == 0x5C } ?? rest.endIndex
        if authorityEnd < rest.endIndex, rest.utf8[authorityEnd] == 0x5C {
            throw ServiceError(.invalidURL, "URL has a backslash in its authority")
        }
        let authority = rest[..<authorityEnd]
        origin =
            isSocket
            ? try Origin(socket: authority, scheme: scheme) : try Origin(authority: authority, scheme: scheme)
        (path, query) = try Self.splitTarget(rest[authorityEnd...], at: "URL")
    }

    /// The whole URL as text, with its query. ``init(_:)`` makes the same value from this text. A request accepts the
    /// text as its reference.
    ///
    /// The query may contain secrets: for a log, use ``description``.
    public var absoluteString: String { origin.urlPrefix + target }

    /// The target in an HTTP/1.1 request line: path and query (RFC 9112 §3.2.1).
    public var target: String {
        guard let query else { return path }
        return path + "?" + query
    }

    /// Returns the URL of `reference` below this base. A client resolves its requests' references with this function.
    ///
    /// An absolute URL is used unchanged. Any other reference is a path with an optional query. It is appended to this
    /// URL's path, with or without a leading slash: `users/42` at `https://example.com/v1` is `/v1/users/42`. Dot
    /// segments are removed before that, so a reference cannot leave the base. The base's own query is not inherited,
    /// except by an empty reference, which is this URL. If a reference repeats the base's path, the result contains the
    /// path twice: `/v1/users` is `/v1/v1/users`.
    ///
    /// For a reference that a service wrote (`Link`, `Location`, a URL in a body), use ``resolving(_:)``.
    ///
    /// - Throws: ``ServiceError`` with code `invalidURL`.
    public func appending(_ reference: String) throws -> ServiceURL {
        if reference.isEmpty { return self }
        if let path = plainPath(appending: reference) { return ServiceURL(origin: origin, path: path, query: nil) }
        if let separator = reference.utf8.firstRange(ofColonSlashSlash: ()),
            Self.looksLikeScheme(reference[..<separator])
        {
            return try ServiceURL(reference)
        }
        let (referencePath, referenceQuery) = try Self.splitTarget(reference[...], at: "path")
        if path == "/" { return ServiceURL(origin: origin, path: referencePath, query: referenceQuery) }
        if referencePath == "/", !reference.utf8.starts(with: "/".utf8) {
            return ServiceURL(origin: origin, path: path, query: referenceQuery)
        }
        let base = path.utf8.last == UInt8(ascii: "/") ? String(path.dropLast()) : path
        return ServiceURL(origin: origin, path: base + referencePath, query: referenceQuery)
    }

    /// Returns this URL's path with `reference` appended. Returns nil if the reference has a query, a fragment, a
    /// colon, a dot segment or a character to encode. Most references have none of these.
    ///
    /// Looks at each byte once, and makes one string. The general way looks at each byte six times, and makes two
    /// strings.
    private func plainPath(appending reference: String) -> String? {
        reference.withBytes { added in
            guard Self.isPlainPath(added) else { return nil }
            return path.withBytes { base in
                let base = base.last == UInt8(ascii: "/") ? UnsafeRawBufferPointer(rebasing: base.dropLast()) : base
                let slashes = added.first == UInt8(ascii: "/") ? 0 : 1
                return String(unsafeUninitializedCapacity: base.count + slashes + added.count) { memory in
                    let memory = UnsafeMutableRawBufferPointer(memory)
                    memory.copyMemory(from: base)
                    if slashes > 0 { memory[base.count] = UInt8(ascii: "/") }
                    UnsafeMutableRawBufferPointer(rebasing: memory[(base.count + slashes)...]).copyMemory(from: added)
                    return base.count + slashes + added.count
                }
            }
        }
    }

    private static func isPlainPath(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isSegmentStart = true
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "/"): isSegmentStart = true
            case UInt8(ascii: ":"): return false
            case UInt8(ascii: ".") where isSegmentStart: return false
            default:
                guard PercentEncoding.isPathCharacter(byte) else { return false }
                isSegmentStart = false
            }
        }
        return true
    }

    static let schemes: [String: (Origin.Scheme, isSocket: Bool)] = [
        "http": (.http, false), "https": (.https, false), "http+unix": (.http, true), "https+unix": (.https, true),
    ]

    static func looksLikeScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, (0x61...0x7A).contains(first | 0x20) else { return false }
        return text.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte == 0x2B || byte == 0x2D
                || byte == 0x2E
        }
    }

    /// Splits `text` at `?` and `#`, encodes both parts, and removes dot segments from the path.
    static func splitTarget(_ text: Substring, at place: String) throws -> (path: String, query: String?) {
        for byte in text.utf8 where byte < 0x20 || byte == 0x7F {
            throw ServiceError(.invalidURL, "\(place) has a control character (byte \(byte)): percent-encode it")
        }
        let withoutFragment = text.utf8.firstIndex(of: UInt8(ascii: "#")).map { text[..<$0] } ?? text
        let mark = withoutFragment.utf8.firstIndex(of: UInt8(ascii: "?"))
        let rawPath = mark.map { withoutFragment[..<$0] } ?? withoutFragment
        let rawQuery = mark.map { withoutFragment[withoutFragment.utf8.index(after: $0)...] }
        var path = PercentEncoding.path(rawPath)
        if path.utf8.first != UInt8(ascii: "/") { path = "/" + path }
        return (removingDotSegments(path), rawQuery.map(PercentEncoding.query))
    }

    private static func removingDotSegments(_ path: String) -> String {
        guard path.utf8.mayHoldDotSegment else { return path }
        var kept: [Substring] = []
        let segments = path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { Substring($0) }
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment.lowercased() {
            case ".", "%2e":
                if isLast { kept.append("") }
            case "..", ".%2e", "%2e.", "%2e%2e":
                if !kept.isEmpty { kept.removeLast() }
                if isLast { kept.append("") }
            default:
                kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/")
    }
}

extension ServiceURL: CustomStringConvertible, CustomReflectable {
    /// The origin and the path. The query is left out, because it may contain secrets.
    public var description: String { "\(origin)\(path)" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension Sequence<UInt8> where Self: BidirectionalCollection {
    /// Whether a segment begins with `.` or `%`, which may be an encoded `.`. A cheap test: most paths have no such
    /// segment.
    fileprivate var mayHoldDotSegment: Bool {
        var atStart = false
        for byte in self {
            if atStart, byte == UInt8(ascii: ".") || byte == UInt8(ascii: "%") { return true }
            atStart = byte == UInt8(ascii: "/")
        }
        return false
    }

    fileprivate func firstRange(ofColonSlashSlash: Void) -> Index? {
        var index = startIndex
        while index != endIndex {
            if self[index] == UInt8(ascii: ":") {
                let rest = self[self.index(after: index)...]
                return rest.starts(with: "//".utf8) ? index : nil
            }
            if self[index] == UInt8(ascii: "/") || self[index] == UInt8(ascii: "?") { return nil }
            index = self.index(after: index)
        }
        return nil
    }
}
