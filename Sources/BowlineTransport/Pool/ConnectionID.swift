/// Names a connection, from the start of its dial to its end. Unique within one client, never reused.
struct ConnectionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    let value: Int

    init(_ value: Int) {
        self.value = value
    }

    static func < (lhs: ConnectionID, rhs: ConnectionID) -> Bool {
        lhs.value < rhs.value
    }

    var description: String {
        String(value)
    }
}
