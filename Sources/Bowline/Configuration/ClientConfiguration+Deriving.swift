internal import BowlineCore

extension ClientConfiguration {
    /// Returns the problems of a derived client that changes a shared setting of the connections or of the shutdown.
    func problems(derivingFrom other: ClientConfiguration) -> [ConfigurationProblem] {
        let isShared = [
            ("timeouts.connect", timeouts.connect == other.timeouts.connect), ("pool", pool == other.pool),
            ("connection", connection == other.connection), ("http2", http2 == other.http2), ("tls", tls == other.tls),
            ("proxy", proxy == other.proxy),
            ("lifecycle", lifecycle == other.lifecycle), ("clock and random", surroundings === other.surroundings),
            ("resolver", naming === other.naming),
            ("telemetry.isMetricsEnabled", telemetry.isMetricsEnabled == other.telemetry.isMetricsEnabled),
            (
                "telemetry.events",
                telemetry.events.elementsEqual(other.telemetry.events) { Self.isSame($0, $1) }
            ),
        ]
        return isShared.filter { !$0.1 }.map { path, _ in
            ConfigurationProblem(path, "is shared with the client that this one derives from and must stay as it is")
        }
    }

    /// Whether both are the same listener. Objects are compared by identity. Two values (not objects) of one type count
    /// as the same, because they cannot be compared.
    private static func isSame(_ one: any ServiceEventListener, _ other: any ServiceEventListener) -> Bool {
        guard type(of: one) == type(of: other) else { return false }
        return !(type(of: one) is AnyClass) || (one as AnyObject) === (other as AnyObject)
    }
}
