internal import BowlineCore

/// The limits of a response, which bound the memory and the work that a peer can cost us. When a response exceeds a
/// limit, the connection closes.
///
/// Each limit is inclusive: a message of exactly that size passes; one byte or one field more does not.
package struct HTTP1Limits: Sendable, Hashable {
    /// The most bytes of a response head, from the status line to the empty line that ends it. Default 64 KiB.
    package var maximumHeadBytes = 64 * 1024
    /// The most field lines of a head; a folded continuation counts as a line. Default 512.
    package var maximumFields = 512
    /// The most bytes of a trailer section, including the empty line that ends it. Default 64 KiB.
    package var maximumTrailerBytes = 64 * 1024
    /// The most field lines of a trailer section. Default 512.
    package var maximumTrailerFields = 512
    /// The most informational responses before a final one. Each of them can have a head of the full size. Default 16.
    package var maximumInformationalResponses = 16
    /// The most bytes of a chunk's line besides the chunk's size and the line end: extensions and leading zeros.
    /// Default 4 KiB.
    package var maximumChunkExtensionBytes = 4 * 1024
    /// The most bytes of extensions and leading zeros in a body, in addition to as many bytes as the body has
    /// delivered. Default 16 KiB.
    package var maximumChunkExtensionSurplus = 16 * 1024
    /// The most codings that `Content-Encoding` may list. More would be an attack on the decoder. Default 16.
    package var maximumContentCodings = 16

    /// Makes the default limits.
    package init() {}

    /// Makes the limits of a client's connections.
    init(_ options: ConnectionOptions) {
        maximumHeadBytes = options.maximumHeadBytes
        maximumFields = options.maximumFields
        maximumTrailerBytes = options.maximumHeadBytes
        maximumTrailerFields = options.maximumFields
        maximumInformationalResponses = options.maximumInformational
    }
}
