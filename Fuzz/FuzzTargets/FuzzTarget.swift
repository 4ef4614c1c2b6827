/// Everything that reads bytes of a peer or of a user, one case each; the raw value is its name on the command line, and its
/// folder in `Fuzz/Corpus`.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// The parser of HTTP/1.1 responses, whole and cut into pieces.
    case response
    /// The parser of HTTP/1.1 responses beside that of NIOHTTP1.
    case differential
    /// Chunked bodies beside a decoder that reads them whole.
    case chunks
    /// gzip and deflate, whole and cut into pieces.
    case inflate
    /// URLs, and references that are resolved or appended.
    case url
    /// HTTP dates, `Retry-After` and `Keep-Alive`.
    case dates
    /// The names and types of a form's parts.
    case names
    /// `Link` fields.
    case links
    /// Lines and server-sent events.
    case lines
    /// Field sections over HTTP/2.
    case http2
    /// HTTP/2 frames, whole and cut into pieces.
    case frames
    /// HPACK, beside NIOHPACK and with limits of its own.
    case hpack
    /// The session of an HTTP/2 client, fed with anything.
    case session
    /// Media types, charsets and the text of a body.
    case text

    /// Runs the code on an input and checks what it promises.
    ///
    /// - Throws: ``FuzzViolation`` if a promise is broken.
    package func check(_ bytes: UnsafeRawBufferPointer) throws {
        let input = FuzzInput(bytes)
        switch self {
        case .response: try ResponseTarget.check(input)
        case .differential: try DifferentialTarget.check(input)
        case .chunks: try ChunksTarget.check(input)
        case .inflate: try InflateTarget.check(input)
        case .url: try URLTarget.check(input)
        case .dates: try DatesTarget.check(input)
        case .names: try NamesTarget.check(input)
        case .links: try LinksTarget.check(input)
        case .lines: try LinesTarget.check(input)
        case .http2: try HTTP2Target.check(input)
        case .frames: try FramesTarget.check(input)
        case .hpack: try HPACKTarget.check(input)
        case .session: try SessionTarget.check(input)
        case .text: try TextTarget.check(input)
        }
    }
}
