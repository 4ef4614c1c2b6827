internal import Synchronization

/// Gives each element of a list to one task.
final class Counter: Sendable {
    private let next = Atomic(0)

    /// Takes the next element; nil: all elements have been taken.
    func take<Element>(_ elements: [Element]) -> Element? {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < elements.count ? elements[index] : nil
    }
}
