/// The limits of what the decoder stores of one field section.
package struct HPACKLimits: Sendable, Hashable {
    /// The largest sum of the bytes of names and values plus 32 for each field (RFC 9113 §6.5.2). Announced as
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    package var maximumListSize = 81_920
    /// The largest number of fields, pseudo-fields included.
    package var maximumFields = 512

    package init() {}
}
