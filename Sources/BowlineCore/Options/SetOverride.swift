/// A request's own set in place of its client's set, or changes to the client's set.
///
/// ```swift
/// $0.retry.statuses = [409]         // these, and none of the client's
/// $0.retry.statuses.insert(409)     // this, and the client's
/// ```
public enum SetOverride<Element: Hashable & Sendable>: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// The client's set.
    case inherited
    /// This set in place of the client's.
    case replaced(Set<Element>)
    /// The client's set, with some elements added and some removed.
    case changed(adding: Set<Element>, removing: Set<Element>)

    /// Makes a set that replaces the client's.
    public init(arrayLiteral elements: Element...) {
        self = .replaced(Set(elements))
    }

    /// Adds one element to the set. If the set is inherited, the element is added to the client's set.
    public mutating func insert(_ element: Element) {
        switch self {
        case .inherited: self = .changed(adding: [element], removing: [])
        case .replaced(let set): self = .replaced(set.union([element]))
        case .changed(let adding, let removing):
            self = .changed(adding: adding.union([element]), removing: removing.subtracting([element]))
        }
    }

    /// Removes one element from the set. If the set is inherited, the element is removed from the client's set.
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
