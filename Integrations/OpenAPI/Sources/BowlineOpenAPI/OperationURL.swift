internal import Bowline

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Where the request of an operation goes: the server URL with the operation's path behind it.
enum OperationURL {
    /// The URL of an operation. What the generated client percent-encoded stays as it is.
    ///
    /// - Parameters:
    ///   - path: The operation's path and query, percent-encoded.
    ///   - server: The server URL. A relative one is appended to `base`.
    ///   - base: The base URL of the client that sends the request.
    /// - Throws: ``ServiceError`` `invalidRequest` for the path, `invalidURL` for the server URL.
    static func make(path: String?, server: URL, base: ServiceURL?) throws -> ServiceURL {
        let path = try checked(path)
        return try serverURL(server.absoluteString, base).appending(path)
    }

    private static func serverURL(_ server: String, _ base: ServiceURL?) throws -> ServiceURL {
        // The OpenAPI specification allows neither, and with a path behind them they would be lost.
        guard !server.utf8.contains(UInt8(ascii: "?")), !server.utf8.contains(UInt8(ascii: "#")) else {
            throw ServiceError(.invalidURL, "the server URL has a query or a fragment")
        }
        if server.contains("://") { return try ServiceURL(server) }
        guard !server.utf8.starts(with: "//".utf8) else {
            throw ServiceError(.invalidURL, "the server URL has a host and no scheme")
        }
        guard let base else {
            throw ServiceError(.invalidURL, "the server URL is relative, and the client has no base URL")
        }
        return try base.appending(server)
    }

    private static func checked(_ path: String?) throws -> String {
        guard let path, path.utf8.first == UInt8(ascii: "/") else {
            throw ServiceError(.invalidRequest, "the path of the operation does not begin with /")
        }
        // `HTTPRequest` puts a space where a control character stood: what has one is not what was meant.
        for byte in path.utf8 where byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: "#") {
            throw ServiceError(
                .invalidRequest,
                "the path of the operation has a space, a # or a control character (byte \(byte)): percent-encode it")
        }
        guard !hasDotSegment(path) else {
            throw ServiceError(
                .invalidRequest, "the path of the operation has a segment . or ..: it would name another path")
        }
        return path
    }

    /// Whether a segment is `.` or `..`, which no encoding can keep (RFC 3986 §5.2.4).
    private static func hasDotSegment(_ path: String) -> Bool {
        path.utf8.prefix { $0 != UInt8(ascii: "?") }.split(separator: UInt8(ascii: "/")).contains { segment in
            // Three letters for a dot at most.
            guard segment.count <= 6 else { return false }
            return [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"].contains(String(Substring(segment)).lowercased())
        }
    }
}
