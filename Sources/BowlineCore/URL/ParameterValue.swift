/// A value with a text of its own for queries, forms and paths.
///
/// An enum with a raw value only has to name the protocol:
///
/// ```swift
/// enum Status: String, ParameterValue { case open, inProgress = "in-progress" }
///
/// let orders = try await client.get("orders", query: ["status": Status.inProgress, "limit": 10])
/// ```
/// Its text is the raw value's, also where the type has a `description` of its own; without one, that is the raw value's text
/// too. Other values need not conform: the text of a number, a string or a `UUID` is its `description`. A type whose
/// `description` is for people conforms and has its own ``parameterText``.
public protocol ParameterValue: CustomStringConvertible, Sendable {
    /// The text that is sent: plain, percent-encoded later.
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
