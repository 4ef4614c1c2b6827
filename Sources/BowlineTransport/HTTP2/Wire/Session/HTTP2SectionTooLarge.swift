/// The error for a field section that is larger than the peer's SETTINGS_MAX_HEADER_LIST_SIZE. Nothing of the section
/// was written.
package struct HTTP2SectionTooLarge: Error, Sendable, Hashable {
    /// The section's size as RFC 9113 §6.5.2 counts it.
    package var size: Int
    /// The peer's limit.
    package var limit: Int

    package init(size: Int, limit: Int) {
        self.size = size
        self.limit = limit
    }
}
