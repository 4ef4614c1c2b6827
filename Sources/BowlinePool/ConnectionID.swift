/// Names a connection, from the start of its dial to its end. Unique within one client, never reused.
@usableFromInline
package struct ConnectionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let value: Int

    package init(_ value: Int) {
        self.value = value
    }

    @usableFromInline
    package static func < (lhs: ConnectionID, rhs: ConnectionID) -> Bool {
        lhs.value < rhs.value
    }

    @usableFromInline
    package var description: String {
        String(value)
    }
}
