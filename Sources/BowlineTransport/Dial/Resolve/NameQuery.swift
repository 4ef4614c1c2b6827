internal import BowlineCore

/// What one look-up asks for: the addresses of one host and one family.
struct NameQuery: Hashable, Sendable {
    /// The name in lower case. Names with and without a trailing dot differ.
    let host: String
    let family: IPAddress.Family

    init(_ host: String, _ family: IPAddress.Family) {
        self.host = host
        self.family = family
    }

    /// The query for the other family of the same host.
    var otherFamily: NameQuery { NameQuery(host, family == .v4 ? .v6 : .v4) }
}
