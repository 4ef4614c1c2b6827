/// A path in which segments in braces stand for anything: `/users/{id}`. What a stub's and a server's routes are made of.
struct PathPattern: Sendable, Hashable {
    private let segments: [Substring]

    /// - Parameter text: A path without a query.
    init(_ text: some StringProtocol) {
        segments = Self.segments(of: text)
    }

    /// Whether no segment stands for anything.
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
