/// The limits on the command line. The process fails when a cost exceeds its limit.
struct Limits {
    private var microseconds: Double?
    private var allocations: Double?

    init(_ arguments: some Collection<String>) throws {
        let words = Array(arguments)
        for index in stride(from: 0, to: words.count, by: 2) {
            guard index + 1 < words.count, let value = Double(words[index + 1]) else {
                throw Failure(text: "\(words[index]) wants a number")
            }
            switch words[index] {
            case "--limit-microseconds": microseconds = value
            case "--limit-allocations": allocations = value
            default: throw Failure(text: "no such option: \(words[index])")
            }
        }
    }

    func check(microseconds: Double, allocations: Double) throws {
        if let limit = self.microseconds, microseconds > limit {
            throw Failure(text: "\(rounded(microseconds)) µs is above the limit of \(limit)")
        }
        if let limit = self.allocations, allocations > limit {
            throw Failure(text: "\(rounded(allocations)) allocations are above the limit of \(limit)")
        }
    }
}
