/// How much of a response a peer may make us hold, or chew, before the connection is given up.
///
/// Each bound is inclusive: a message exactly as large passes, one byte or one field more does not.
package struct HTTP1Limits: Sendable, Hashable {
    /// Bytes of a response head, from the status line to the empty line that ends it. Default 64 KiB.
    package var maximumHeadBytes = 64 * 1024
    /// Field lines of a head; a folded continuation counts as a line. Default 512.
    package var maximumFields = 512
    /// Bytes of a trailer section, including the empty line that ends it. Default 64 KiB.
    package var maximumTrailerBytes = 64 * 1024
    /// Field lines of a trailer section. Default 512.
    package var maximumTrailerFields = 512
    /// Informational responses before a final one; each has a head of its own to fill. Default 16.
    package var maximumInformationalResponses = 16
    /// Bytes of one chunk's line that are neither its size nor the line end: extensions and superfluous zeros.
    /// Default 4 KiB.
    package var maximumChunkExtensionBytes = 4 * 1024
    /// How far the extension bytes of a body may exceed the bytes it has delivered. Default 16 KiB.
    package var maximumChunkExtensionSurplus = 16 * 1024
    /// Codings that `Content-Encoding` may list; more is an attack on whoever decodes them. Default 16.
    package var maximumContentCodings = 16

    /// Makes the default limits.
    package init() {}
}
