/// Names a connection, from the start of its dial to its end. Unique within one client, never reused.
package struct ConnectionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let value: Int

    package init(_ value: Int) {
        self.value = value
    }

    package static func < (lhs: ConnectionID, rhs: ConnectionID) -> Bool {
        lhs.value < rhs.value
    }

    package var description: String {
        String(value)
    }
}
