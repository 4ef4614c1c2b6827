/// One knob of a group of options: its name, its property and its range.
///
/// This declaration is used three times: to find the group's problems, for the knob's configuration key, and for the
/// range in the knob's row of `Docs/Defaults.md`.
package struct OptionKnob<Options> {
    /// The knob's property, with its type and its range.
    package enum Property {
        case flag(WritableKeyPath<Options, Bool>)
        case integer(WritableKeyPath<Options, Int>, ClosedRange<Int>)
        case optionalInteger(WritableKeyPath<Options, Int?>, ClosedRange<Int>)
        case duration(WritableKeyPath<Options, Duration>, DurationRange)
        case optionalDuration(WritableKeyPath<Options, Duration?>, DurationRange)
        case number(WritableKeyPath<Options, Double>, ClosedRange<Double>)
        case optionalAddress(WritableKeyPath<Options, IPAddress?>)
        /// A set of numbers, each in the range.
        case integers(WritableKeyPath<Options, Set<Int>>, ClosedRange<Int>)
        /// An enumeration: the words for its values, and a function that sets the value for a word.
        case words([String], set: (_ word: String, _ options: inout Options) -> Void)
        /// A property of another type, or a nested group of options. The function returns the problems, given the
        /// knob's path.
        case other((_ options: Options, _ path: String) -> [ConfigurationProblem])
    }

    /// The property's name.
    package let name: String
    package let property: Property

    /// Makes the knob of an enumeration whose values have names.
    package static func choice<Value>(
        _ name: String, _ property: WritableKeyPath<Options, Value>, _ values: KeyValuePairs<String, Value>
    ) -> Self {
        Self(
            name,
            .words(values.map(\.key)) { word, options in
                guard let value = values.first(where: { $0.key == word })?.value else { return }
                options[keyPath: property] = value
            })
    }

    package init(_ name: String, _ property: Property) {
        self.name = name
        self.property = property
    }

    /// Returns the problems of the knob's value. `path` is the knob's path, for the messages.
    func problems(of options: Options, at path: String) -> [ConfigurationProblem] {
        switch property {
        case .flag, .words, .optionalAddress: []
        case .integer(let property, let range): range.problems(of: options[keyPath: property], at: path)
        case .optionalInteger(let property, let range):
            options[keyPath: property].map { range.problems(of: $0, at: path) } ?? []
        case .duration(let property, let range): range.problems(of: options[keyPath: property], at: path)
        case .optionalDuration(let property, let range):
            options[keyPath: property].map { range.problems(of: $0, at: path) } ?? []
        case .number(let property, let range): range.problems(of: options[keyPath: property], at: path)
        case .integers(let property, let range):
            options[keyPath: property].sorted().first { !range.contains($0) }.map {
                [ConfigurationProblem(path, "must be \(range.lowerBound) to \(range.upperBound) each, has \($0)")]
            } ?? []
        case .other(let problems): problems(options, path)
        }
    }
}

extension Array {
    /// Returns the problems of all knobs of a group, in their order.
    package func problems<Options>(of options: Options, at path: String) -> [ConfigurationProblem]
    where Element == OptionKnob<Options> {
        flatMap { $0.problems(of: options, at: "\(path).\($0.name)") }
    }
}

/// The durations that a knob may have.
package struct DurationRange: Sendable {
    /// The range as `Docs/Defaults.md` writes it.
    package let text: String
    /// The problem's text for a duration outside the range.
    let reason: String
    let contains: @Sendable (Duration) -> Bool

    package static let positive = DurationRange(
        text: "> 0", reason: "must be greater than zero (nil for no limit)", contains: { $0 > .zero })
    package static let notNegative = DurationRange(
        text: "≥ 0", reason: "must not be negative", contains: { $0 >= .zero })
    static let slidingWindow = DurationRange(
        text: "1 s…300 s", reason: "must be 1 s to 300 s", contains: { $0 >= .seconds(1) && $0 <= .seconds(300) })

    func problems(of value: Duration, at path: String) -> [ConfigurationProblem] {
        contains(value) ? [] : [ConfigurationProblem(path, reason)]
    }
}

extension ClosedRange<Int> {
    /// The range as `Docs/Defaults.md` writes it.
    package var knobText: String {
        upperBound == .max ? "≥ \(lowerBound)" : "\(lowerBound)…\(upperBound)"
    }

    fileprivate func problems(of value: Int, at path: String) -> [ConfigurationProblem] {
        guard !contains(value) else { return [] }
        let upper = upperBound == .max ? "" : " and at most \(upperBound)"
        return [ConfigurationProblem(path, "must be at least \(lowerBound)\(upper), is \(value)")]
    }
}

extension ClosedRange<Double> {
    /// The range as `Docs/Defaults.md` writes it.
    package var knobText: String { "\(lowerBound.knobText)…\(upperBound.knobText)" }

    fileprivate func problems(of value: Double, at path: String) -> [ConfigurationProblem] {
        guard !contains(value) else { return [] }
        return [ConfigurationProblem(path, "must be \(lowerBound.knobText) to \(upperBound.knobText), is \(value)")]
    }
}

extension Double {
    /// The number as text, without `.0` if it is a whole number.
    fileprivate var knobText: String { Int(exactly: self).map { "\($0)" } ?? "\(self)" }
}
