/// A client's result for a case.
package struct CorpusObservation: Sendable, Equatable {
    /// How it ended.
    package enum Outcome: Sendable, Equatable {
        /// The response was delivered to its end.
        case delivered
        /// It ended in an error, before or after its head was delivered.
        case failed
        /// Neither, within the time that a client has.
        case undecided
    }

    package var outcome = Outcome.undecided
    package var status: Int?
    package var headers: [CorpusField] = []
    package var body: [UInt8] = []
    package var trailers: [CorpusField] = []
    package var informational: [CorpusInformational] = []
    /// Whether the connection was kept for another request.
    package var isReusable = false
    /// Bytes after the end of the final message; nil if that cannot be seen.
    package var leftover: Int?

    package init() {}
}

extension CorpusCase {
    /// The faults of an observation; empty if there are none.
    package func complaints(about observation: CorpusObservation) -> [String] {
        switch (verdict, observation.outcome) {
        case (_, .undecided): return ["neither delivered nor refused"]
        case (.reject, .failed), (.either, .failed): return []
        case (.accept, .failed): return ["refused, must be accepted"]
        case (.reject, .delivered): return ["accepted, must be refused"]
        case (.accept, .delivered), (.either, .delivered): return complaints(aboutDelivered: observation)
        }
    }

    private func complaints(aboutDelivered observation: CorpusObservation) -> [String] {
        var complaints: [String] = []
        func expect<Value: Equatable>(_ what: String, _ expected: Value?, _ actual: Value) {
            guard let expected, expected != actual else { return }
            complaints.append(
                "\(what): \(String("\(actual)".prefix(200))), must be \(String("\(expected)".prefix(200)))")
        }
        expect("status", status, observation.status ?? 0)
        expect("headers", headers, observation.headers)
        expect("body", body, observation.body)
        expect("trailers", trailers, observation.trailers)
        expect("informational", informational, observation.informational)
        expect("reusable", isReusable, observation.isReusable)
        if let seen = observation.leftover { expect("leftover", leftover, seen) }
        for name in observation.headers.map({ $0.name.lowercased() }) where forbiddenHeaders.contains(name) {
            complaints.append("header \(name) must not be there")
        }
        return complaints
    }
}
