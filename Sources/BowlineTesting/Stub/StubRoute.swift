internal import BowlineCore

/// One entry of a stub transport's route table: a pattern of requests, and their answers.
struct StubRoute: Sendable {
    enum Answers: Sendable {
        case always(StubAnswer)
        case inOrder([StubAnswer], repeatsLast: Bool)
    }

    private enum Pattern: Sendable {
        /// A path, and a query; query nil: any.
        case path(PathPattern, query: Substring?)
        /// One URL. Its query is compared only if the pattern has one.
        case url(ServiceURL)
        /// No request matches, because the pattern is not a URL.
        case nothing
    }

    let method: HTTPRequest.Method?
    let text: String
    private let pattern: Pattern
    let answers: Answers
    private(set) var uses = 0

    init(_ method: HTTPRequest.Method?, _ text: String, _ answers: Answers) {
        self.method = method
        self.text = text
        self.answers = answers
        if text.hasPrefix("/") {
            let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            pattern = .path(PathPattern(parts[0]), query: parts.count > 1 ? parts[1] : nil)
        } else if let url = try? ServiceURL(text) {
            pattern = .url(url)
        } else {
            pattern = .nothing
        }
    }

    func matches(_ method: HTTPRequest.Method, _ url: ServiceURL) -> Bool {
        guard self.method == nil || self.method == method else { return false }
        switch pattern {
        case .nothing: return false
        case .url(let own):
            return own.origin == url.origin && own.path == url.path && (own.query == nil || own.query == url.query)
        case .path(let path, let query):
            guard query == nil || query.map(String.init) == url.query else { return false }
            return path.matches(url.path)
        }
    }

    /// Returns the next answer; nil if all have been given.
    mutating func next() -> StubAnswer? {
        switch answers {
        case .always(let answer):
            uses += 1
            return answer
        case .inOrder(let list, let repeatsLast):
            guard uses < list.count || (repeatsLast && !list.isEmpty) else { return nil }
            uses += 1
            return list[min(uses, list.count) - 1]
        }
    }

    /// A description of the unused part of the route; nil if the route was used completely.
    var unused: String? {
        switch answers {
        case .always: uses == 0 ? description : nil
        case .inOrder(let list, _): uses < list.count ? "\(description) (\(uses) of \(list.count) answers)" : nil
        }
    }

    var description: String { "\(method?.rawValue ?? "any") \(text)" }
}
