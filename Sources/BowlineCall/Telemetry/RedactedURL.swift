internal import BowlineCore

/// A URL for the eyes of others: as it is, but with every value in its query replaced, and not longer than 2 KiB.
///
/// It has no user information: a `ServiceURL` refuses that. Names in the query stay, a part without `=` is a value.
struct RedactedURL: CustomStringConvertible {
    static let limit = 2048
    let description: String

    init(_ url: ServiceURL) {
        var text = url.origin.baseText + url.path
        if let query = url.query {
            text += "?"
            text += query.split(separator: "&", omittingEmptySubsequences: false)
                .map(Self.redacted).joined(separator: "&")
        }
        // Percent-encoded, so ASCII: cutting it at a byte leaves text.
        description = text.utf8.count > Self.limit ? String(text.prefix(Self.limit)) : text
    }

    private static func redacted(_ part: Substring) -> String {
        guard let equals = part.firstIndex(of: "=") else { return part.isEmpty ? "" : "REDACTED" }
        return part[...equals] + "REDACTED"
    }
}

extension Origin {
    /// Scheme and authority as they stand in a URL.
    fileprivate var baseText: String {
        socketPath == nil ? "\(scheme.rawValue)://\(authority)" : description
    }
}
