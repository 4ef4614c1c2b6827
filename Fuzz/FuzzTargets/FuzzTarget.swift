/// The targets: one for each part of the code that reads bytes of a peer or a user. The raw value is the target's name
/// on the command line, and the name of its folder in `Fuzz/Corpus`.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// The parser of HTTP/1.1 responses, with whole input and with input in pieces.
    case response
    /// The parser of HTTP/1.1 responses, compared with NIOHTTP1's.
    case differential
    /// Chunked bodies, compared with a decoder that reads whole bodies.
    case chunks
    /// gzip and deflate, with whole input and with input in pieces.
    case inflate
    /// URLs, and references that are resolved against them or appended to them.
    case url
    /// HTTP dates, `Retry-After` and `Keep-Alive`.
    case dates
    /// The names and types of a form's parts.
    case names
    /// `Link` fields.
    case links
    /// `Location` fields, and the requests that redirects make of them.
    case location
    /// Lines and server-sent events.
    case lines
    /// Field sections over HTTP/2.
    case http2
    /// HTTP/2 frames, with whole input and with input in pieces.
    case frames
    /// HPACK, compared with NIOHPACK and with small limits.
    case hpack
    /// The session of an HTTP/2 client, with arbitrary bytes of a server.
    case session
    /// The tunnels through HTTP and SOCKS5 proxies, with arbitrary bytes of a proxy.
    case proxies
    /// Media types, charsets and the text of a body.
    case text

    /// Runs the code on an input, and checks the code's promises.
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
        case .location: try LocationTarget.check(input)
        case .lines: try LinesTarget.check(input)
        case .http2: try HTTP2Target.check(input)
        case .frames: try FramesTarget.check(input)
        case .hpack: try HPACKTarget.check(input)
        case .session: try SessionTarget.check(input)
        case .proxies: try ProxiesTarget.check(input)
        case .text: try TextTarget.check(input)
        }
    }
}
