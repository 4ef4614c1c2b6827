/// The kind of the bytes that a peer sent before any request. Used for error messages.
enum EarlyBytes: Sendable, Hashable {
    /// An HTTP/2 server's first frame: SETTINGS, which it sends unasked, or GOAWAY, which it sends to a client that
    /// does not speak HTTP/2.
    case http2Frames
    /// The status line of a response: servers send 408 or 503 on connections that they will not serve.
    case status(UInt16)
    case unknown

    /// How many bytes are examined at most.
    static let neededBytes = 13

    init(_ bytes: some Collection<UInt8>) {
        let bytes = [UInt8](bytes.prefix(Self.neededBytes))
        if Self.isFirstFrame(bytes) {
            self = .http2Frames
        } else if let status = Self.statusCode(bytes) {
            self = .status(status)
        } else {
            self = .unknown
        }
    }

    static var http2Question: String { ": does it speak HTTP/2 only?" }

    /// - Parameter isFresh: Whether the connection has carried no request yet.
    func message(isFresh: Bool) -> String {
        let when = isFresh ? "before any request" : "before the request"
        switch self {
        case .http2Frames: return "the peer sent bytes \(when)" + Self.http2Question
        case .status(let code): return "the peer answered \(code) \(when)"
        case .unknown: return "the peer sent bytes \(when)"
        }
    }

    /// Whether the bytes are a SETTINGS frame that is not an acknowledgement, or a GOAWAY frame. Both concern the
    /// connection as a whole (RFC 9113 §4.1, §6.5, §6.8).
    private static func isFirstFrame(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 9, bytes[4] == 0, bytes[5...8].allSatisfy({ $0 == 0 }) else { return false }
        let length = bytes[..<3].reduce(0) { $0 << 8 | Int($1) }
        guard length <= 16_384 else { return false }
        return switch bytes[3] {
        case 4: length % 6 == 0
        case 7: length >= 8
        default: false
        }
    }

    /// Returns the status code after `HTTP/1.0 ` or `HTTP/1.1 `; nil: the bytes are no status line.
    private static func statusCode(_ bytes: [UInt8]) -> UInt16? {
        guard bytes.count >= 12, bytes[..<7].elementsEqual("HTTP/1.".utf8), [0x30, 0x31].contains(bytes[7]),
            bytes[8] == 0x20, bytes[9...11].allSatisfy({ (0x30...0x39).contains($0) }), bytes[9] != 0x30
        else { return nil }
        if bytes.count > 12, ![0x20, 0x0D, 0x0A].contains(bytes[12]) { return nil }
        return bytes[9...11].reduce(0) { $0 * 10 + UInt16($1 - 0x30) }
    }
}
