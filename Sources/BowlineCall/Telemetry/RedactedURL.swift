internal import BowlineCore

/// A URL for spans: every value in its query is replaced by `REDACTED`, and the text is at most 2 KiB long.
///
/// It contains no user information (`user:password@`), because a `ServiceURL` cannot contain any. Names in the query
/// stay. A part of the query without `=` counts as a value.
struct RedactedURL: CustomStringConvertible {
    static let limit = 2048
    let description: String

    init(_ url: ServiceURL) {
        var text = url.origin.baseText + url.path
        if let query = url.query {
            text += "?"
            text += query.utf8.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
                .map { Self.redacted(Substring($0)) }.joined(separator: "&")
        }
        // The text is percent-encoded and therefore ASCII, so it can be cut after any byte.
        description = text.utf8.count > Self.limit ? String(text.prefix(Self.limit)) : text
    }

    private static func redacted(_ part: Substring) -> String {
        guard let equals = part.utf8.firstIndex(of: UInt8(ascii: "=")) else { return part.isEmpty ? "" : "REDACTED" }
        return part[...equals] + "REDACTED"
    }
}

extension Origin {
    /// The scheme and authority as in a URL, or the description of a socket.
    fileprivate var baseText: String {
        socketPath == nil ? "\(scheme.rawValue)://\(authority)" : description
    }
}
