extension ServiceURL {
    /// Returns this URL with another base URL: the part after `base` stays, and so does the query.
    ///
    /// With the base `https://api.example/v1` replaced by `https://b.example/api`, `https://api.example/v1/users?a=1` is
    /// `https://b.example/api/users?a=1`. If the path is not below the base's path, only the origin is replaced:
    /// `https://api.example/login` is `https://b.example/login`. The queries of both bases are ignored.
    package func replacingBase(_ base: ServiceURL, by other: ServiceURL) -> ServiceURL {
        // Bases with the same path are common. Then the path stays, and no text is made.
        if base.path == other.path, path.utf8.count >= base.path.utf8.count {
            return ServiceURL(origin: other.origin, path: path, query: query)
        }
        guard let rest = path(below: base) else { return ServiceURL(origin: other.origin, path: path, query: query) }
        if rest.isEmpty { return ServiceURL(origin: other.origin, path: other.path, query: query) }
        return ServiceURL(origin: other.origin, path: String(other.path.withoutLastSlash) + rest, query: query)
    }

    /// Returns the part of the path after the path of `base`: empty, or text that begins with `/`. nil: the path is not
    /// below the base's path. Compares paths only, not origins.
    package func path(below base: ServiceURL) -> Substring? {
        if path == base.path { return "" }
        let prefix = base.path.withoutLastSlash
        guard path.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = path[path.utf8.index(path.startIndex, offsetBy: prefix.utf8.count)...]
        return rest.isEmpty || rest.utf8.first == UInt8(ascii: "/") ? rest : nil
    }
}

extension String {
    fileprivate var withoutLastSlash: Substring {
        utf8.last == UInt8(ascii: "/") ? self[..<utf8.index(before: endIndex)] : self[...]
    }
}
