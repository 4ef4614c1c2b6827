internal import BowlineCore

extension ClientConfiguration {
    /// What a derived client would change that belongs to what it shares with the other: its connections and their end.
    func problems(derivingFrom other: ClientConfiguration) -> [ConfigurationProblem] {
        let isShared = [
            ("timeouts.connect", timeouts.connect == other.timeouts.connect), ("pool", pool == other.pool),
            ("connection", connection == other.connection), ("tls", tls == other.tls),
            ("lifecycle", lifecycle == other.lifecycle), ("clock and random", surroundings === other.surroundings),
        ]
        return isShared.filter { !$0.1 }.map { path, _ in
            ConfigurationProblem(path, "is shared with the client that this one derives from and must stay as it is")
        }
    }
}
