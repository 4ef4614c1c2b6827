/// How a field may be compressed (RFC 7541 §6.2, §7.1).
package enum HPACKIndexing: Sendable, Hashable {
    /// The encoder decides by the name, as ``HPACKIndexingHabit`` lists.
    case automatic
    /// The field enters the table, whatever its name is, if it takes at most three quarters of the table.
    case always
    /// The field is a literal that no hop may index. Its name may be a reference into a table; its value never is.
    case never
}
