/// The rule of RFC 7541 that an undecodable section breaks.
///
/// Each case is a connection error of type COMPRESSION_ERROR (RFC 9113 §4.3), because the decoder's table no longer
/// follows the encoder's table.
package enum HPACKError: Error, Sendable, Hashable {
    /// An index is 0, or larger than both tables together (RFC 7541 §2.3.3, §6.1).
    case invalidIndex
    /// An integer is larger than 2³¹ − 1, or has more than five bytes after its prefix (RFC 7541 §5.1).
    case integerTooLarge
    /// The section ends within a field (RFC 7541 §5).
    case truncated
    /// A string contains the EOS symbol, or its padding is not a prefix of EOS of at most 7 bits (RFC 7541 §5.2).
    case invalidHuffman
    /// A size update is above SETTINGS_HEADER_TABLE_SIZE (RFC 7541 §6.3).
    case tableSizeTooLarge
    /// The setting was lowered, and the next section does not begin with a size update to it or below (RFC 7541 §4.2).
    case missingTableSizeUpdate
    /// A size update follows a field, or is the third of its section (RFC 7541 §4.2).
    case lateTableSizeUpdate
}
