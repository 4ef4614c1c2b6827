internal import Synchronization

/// Hands out the elements of a list, each to one task.
final class Counter: Sendable {
    private let next = Atomic(0)

    /// The next element; nil: all have been taken.
    func take<Element>(_ elements: [Element]) -> Element? {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < elements.count ? elements[index] : nil
    }
}
