/// Names one wait for the answer of a look-up. Later waits have higher ids.
struct LookUpWaiterID: Hashable, Comparable, Sendable {
    let value: Int

    static func < (left: LookUpWaiterID, right: LookUpWaiterID) -> Bool { left.value < right.value }
}
