/// A value that has its own text for queries, forms and paths.
///
/// An enum with a raw value only has to declare the conformance:
///
/// ```swift
/// enum Status: String, ParameterValue { case open, inProgress = "in-progress" }
///
/// let orders = try await client.get("orders", query: ["status": Status.inProgress, "limit": 10])
/// ```
/// The text of such an enum is the text of its raw value, even if the enum has a `description` of its own. If it has
/// none, its `description` is the raw value's text too. Numbers, strings and `UUID`s need not conform: their text is
/// their `description`. If a type's `description` is meant for people, conform to this protocol and implement
/// ``parameterText``.
public protocol ParameterValue: CustomStringConvertible, Sendable {
    /// The text that is sent. Plain text: it is percent-encoded later.
    var parameterText: String { get }
}

extension ParameterValue {
    /// The description.
    public var parameterText: String { description }
}

extension ParameterValue where Self: RawRepresentable, RawValue: CustomStringConvertible {
    /// The raw value's text.
    public var parameterText: String { rawValue.description }

    /// The raw value's text.
    public var description: String { rawValue.description }
}

extension QueryItems {
    /// The text of a value in a query, a form or a path.
    package static func text(of value: any CustomStringConvertible) -> String {
        (value as? any ParameterValue)?.parameterText ?? value.description
    }
}
