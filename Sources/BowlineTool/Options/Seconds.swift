internal import ArgumentParser

/// A duration on the command line: seconds, with an optional fraction.
struct Seconds: ExpressibleByArgument, Hashable {
    /// Longer than any useful duration, and too short for nanoseconds to overflow.
    private static let largest = 1e9

    let duration: Duration

    init?(argument: String) {
        guard let value = Double(argument), value.isFinite, abs(value) <= Self.largest else { return nil }
        duration = .nanoseconds(Int64((value * 1e9).rounded()))
    }
}

extension Seconds? {
    /// Returns the duration of an option that must be above zero.
    func positive(_ option: String) throws -> Duration? {
        guard let self else { return nil }
        guard self.duration > .zero else { throw ValidationError("\(option) must be greater than zero seconds") }
        return self.duration
    }

    /// Returns the duration of an option that may be zero.
    func notNegative(_ option: String) throws -> Duration? {
        guard let self else { return nil }
        guard self.duration >= .zero else { throw ValidationError("\(option) must not be negative") }
        return self.duration
    }
}
