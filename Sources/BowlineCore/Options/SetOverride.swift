/// A request's own set in place of its client's, or a change of that.
///
/// ```swift
/// $0.retry.statuses = [409]         // these, and none of the client's
/// $0.retry.statuses.insert(409)     // this, and the client's
/// ```
public enum SetOverride<Element: Hashable & Sendable>: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// The client's.
    case inherited
    /// These, and none of the client's.
    case replaced(Set<Element>)
    /// The client's with some more and without some others.
    case changed(adding: Set<Element>, removing: Set<Element>)

    /// These, and none of the client's.
    public init(arrayLiteral elements: Element...) {
        self = .replaced(Set(elements))
    }

    /// Adds one value to the list, which is the client's if it is inherited.
    public mutating func insert(_ element: Element) {
        switch self {
        case .inherited: self = .changed(adding: [element], removing: [])
        case .replaced(let set): self = .replaced(set.union([element]))
        case .changed(let adding, let removing):
            self = .changed(adding: adding.union([element]), removing: removing.subtracting([element]))
        }
    }

    /// Removes one value from the list, which is the client's if it is inherited.
    public mutating func remove(_ element: Element) {
        switch self {
        case .inherited: self = .changed(adding: [], removing: [element])
        case .replaced(let set): self = .replaced(set.subtracting([element]))
        case .changed(let adding, let removing):
            self = .changed(adding: adding.subtracting([element]), removing: removing.union([element]))
        }
    }

    package func resolved(over set: Set<Element>) -> Set<Element> {
        switch self {
        case .inherited: set
        case .replaced(let own): own
        case .changed(let adding, let removing): set.union(adding).subtracting(removing)
        }
    }
}
