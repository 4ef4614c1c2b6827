import BowlineCore

/// URLs: a parsed URL is the same when parsed again, and nothing in it can end a line or a field.
///
/// Content: a URL, then the first LF, then a reference that is resolved against the URL and appended to it.
enum URLTarget {
    static func check(_ input: FuzzInput) throws {
        let parts = input.content.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
        let text = String(decoding: parts[0], as: UTF8.self)
        _ = ServiceURL.hasForeignScheme(text)
        guard let base = try parse({ try ServiceURL(text) }) else { return }
        try checkURL(base)
        guard parts.count == 2 else { return }

        let reference = String(decoding: parts[1], as: UTF8.self)
        if let resolved = try parse({ try base.resolving(reference) }) {
            try checkURL(resolved)
            if reference.utf8.first == UInt8(ascii: "/"), !reference.utf8.starts(with: "//".utf8) {
                try promise(resolved.origin == base.origin, "a path stays at its origin")
            }
        }
        if let appended = try parse({ try base.appending(reference) }) {
            try checkURL(appended)
            try checkBelow(base, appended, reference)
        }
    }

    /// Checks a parsed URL. Other targets use it too.
    static func checkURL(_ url: ServiceURL) throws {
        let text = url.absoluteString
        let again = try parse { try ServiceURL(text) }
        try promise(again == url, "\(text) is parsed as \(again.map(\.absoluteString) ?? "nothing")")
        try promise(again?.absoluteString == text, "\(text) is written as \(again?.absoluteString ?? "nothing")")
        try promise(again?.description == url.description, "the description stays the same")
        // A URL longer than a `Location` may be is not resolved.
        if text.utf8.count <= ServiceURL.maximumLocationBytes {
            let resolved = try parse { try url.resolving(text) }
            try promise(resolved == url, "\(text) resolved against itself is itself")
        }
        try checkTarget(url)
        try checkOrigin(url.origin)
    }

    private static func checkTarget(_ url: ServiceURL) throws {
        try promise(url.path.utf8.first == UInt8(ascii: "/"), "a path begins with a slash: \(url.path)")
        try promise(
            url.target.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") },
            "a target has printable ASCII alone: \(url.target)")
        let segments = url.path.split(separator: "/", omittingEmptySubsequences: false)
        let dots = [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"]
        try promise(!segments.contains { dots.contains($0.lowercased()) }, "no dot segment is left: \(url.path)")
        try promise(FuzzGrammar.isPrintable(url.description), "a description has no control character")
        let isSocket = url.origin.socketPath != nil
        try promise(isSocket || !url.description.contains("?"), "a description has no query: \(url)")
    }

    private static func checkOrigin(_ origin: Origin) throws {
        let isHost: (UInt8) -> Bool = { (0x21...0x7E).contains($0) && !"/?#@\\\"<>".utf8.contains($0) }
        try promise(!origin.host.isEmpty && origin.host.utf8.allSatisfy(isHost), "a host: \(origin.host)")
        try promise(origin.authority.utf8.allSatisfy(isHost), "an authority: \(origin.authority)")
        try promise(!origin.authority.contains("%"), "the zone of an address stays here: \(origin.authority)")
        try promise((1...65_535).contains(origin.port), "\(origin.port) is a port")
        if let path = origin.socketPath {
            try promise(!path.isEmpty && path.utf8.count <= 103 && !path.utf8.contains(0), "a socket's path: \(path)")
        }
    }

    /// Checks that an appended reference stays below the base, unless the reference is a URL.
    private static func checkBelow(_ base: ServiceURL, _ appended: ServiceURL, _ reference: String) throws {
        guard !reference.contains("://") else { return }
        try promise(appended.origin == base.origin, "an appended path stays at its origin")
        let folder = base.path.utf8.last == UInt8(ascii: "/") ? String(base.path.dropLast()) : base.path
        let isBelow = appended.path == base.path || appended.path.hasPrefix(folder + "/")
        try promise(isBelow, "\(reference) appended to \(base.path) is \(appended.path)")
    }

    /// Returns the URL; nil if it is refused as invalid.
    private static func parse(_ make: () throws -> ServiceURL) throws -> ServiceURL? {
        do {
            return try make()
        } catch let error as ServiceError {
            try promise(error.code == .invalidURL, "a URL is refused as invalidURL: \(error.code)")
            try promise(FuzzGrammar.isPrintable(error.message), "a message has no control character")
            return nil
        }
    }
}
