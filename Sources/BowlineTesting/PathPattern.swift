/// A path in which a segment in braces matches any segment that is not empty: `/users/{id}`. The routes of stubs and
/// servers use it.
struct PathPattern: Sendable, Hashable {
    private let segments: [Substring]

    /// - Parameter text: A path without a query.
    init(_ text: some StringProtocol) {
        segments = Self.segments(of: text)
    }

    /// Whether no segment is a placeholder.
    var isLiteral: Bool { !segments.contains(where: Self.isPlaceholder) }

    func matches(_ path: some StringProtocol) -> Bool {
        let others = Self.segments(of: path)
        return segments.count == others.count
            && zip(segments, others).allSatisfy { own, other in
                own == other || (Self.isPlaceholder(own) && !other.isEmpty)
            }
    }

    private static func segments(of text: some StringProtocol) -> [Substring] {
        Substring(text).split(separator: "/", omittingEmptySubsequences: false)
    }

    private static func isPlaceholder(_ segment: Substring) -> Bool {
        segment.count > 1 && segment.hasPrefix("{") && segment.hasSuffix("}")
    }
}
