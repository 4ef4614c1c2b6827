internal import ArgumentParser

/// A length of time as it stands on the command line: seconds, with a fraction if need be.
struct Seconds: ExpressibleByArgument, Hashable {
    /// Far beyond any use, and far from where nanoseconds overflow.
    private static let largest = 1e9

    let duration: Duration

    init?(argument: String) {
        guard let value = Double(argument), value.isFinite, abs(value) <= Self.largest else { return nil }
        duration = .nanoseconds(Int64((value * 1e9).rounded()))
    }
}

extension Seconds? {
    /// The duration of an option that has to be longer than nothing.
    func positive(_ option: String) throws -> Duration? {
        guard let self else { return nil }
        guard self.duration > .zero else { throw ValidationError("\(option) must be greater than zero seconds") }
        return self.duration
    }

    /// The duration of an option that may be zero.
    func notNegative(_ option: String) throws -> Duration? {
        guard let self else { return nil }
        guard self.duration >= .zero else { throw ValidationError("\(option) must not be negative") }
        return self.duration
    }
}
