/// How long a dial and each of its steps took. nil: the dial had no such step.
package final class DialTimings: Sendable, Hashable {
    /// All steps together.
    package let total: Duration
    package let resolve: Duration?
    package let connect: Duration?
    package let tunnel: Duration?
    package let tls: Duration?

    package init(
        total: Duration, resolve: Duration? = nil, connect: Duration? = nil, tunnel: Duration? = nil,
        tls: Duration? = nil
    ) {
        self.total = total
        self.resolve = resolve
        self.connect = connect
        self.tunnel = tunnel
        self.tls = tls
    }

    package static func == (left: DialTimings, right: DialTimings) -> Bool {
        left === right
            || left.total == right.total && left.resolve == right.resolve && left.connect == right.connect
                && left.tunnel == right.tunnel && left.tls == right.tls
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(total)
        hasher.combine(resolve)
        hasher.combine(connect)
        hasher.combine(tunnel)
        hasher.combine(tls)
    }
}
