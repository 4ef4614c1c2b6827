/// Limits on what a peer can make us keep or process for a response. When a response exceeds one, the connection
/// closes.
///
/// Each limit is inclusive: a message of exactly that size passes; one byte or one field more does not.
package struct HTTP1Limits: Sendable, Hashable {
    /// Bytes of a response head, from the status line to the empty line that ends it. Default 64 KiB.
    package var maximumHeadBytes = 64 * 1024
    /// Field lines of a head; a folded continuation counts as a line. Default 512.
    package var maximumFields = 512
    /// Bytes of a trailer section, including the empty line that ends it. Default 64 KiB.
    package var maximumTrailerBytes = 64 * 1024
    /// Field lines of a trailer section. Default 512.
    package var maximumTrailerFields = 512
    /// Informational responses before a final one; each can have a full head of its own. Default 16.
    package var maximumInformationalResponses = 16
    /// Bytes of one chunk's line besides its size and the line end: extensions and leading zeros. Default 4 KiB.
    package var maximumChunkExtensionBytes = 4 * 1024
    /// How far the extension bytes and leading zeros of a body may exceed the data bytes that it has delivered. Default
    /// 16 KiB.
    package var maximumChunkExtensionSurplus = 16 * 1024
    /// Codings that `Content-Encoding` may list. More would be an attack on the decoder. Default 16.
    package var maximumContentCodings = 16

    /// Makes the default limits.
    package init() {}
}
