import BowlineTransport

/// Chunked bodies: compares the scanner, which reads byte by byte, with a decoder that gets the whole body.
///
/// Content: the bytes after the head of a response. Numbers: the cuts.
enum ChunksTarget {
    private static let head = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)

    static func check(_ input: FuzzInput) throws {
        var input = input
        let cuts = input.takeCuts()
        let bytes = input.content
        // The model has no limits. Other tests cover the limits.
        var limits = HTTP1Limits()
        limits.maximumChunkExtensionBytes = 1 << 30
        limits.maximumChunkExtensionSurplus = 1 << 30

        let pieces = [head[...]] + cuts.pieces(of: bytes)
        let seen = try ResponseRun.read(pieces, to: .other, limits: limits, isClosed: false)
        let model = ChunkedModel(bytes)
        switch model.ending {
        case .complete(let leftover):
            try promise(seen.ending == .delivered, "a chunked body is complete: \(seen.ending)")
            try promise(seen.body == model.body, "body \(seen.body), must be \(model.body)")
            try promise(seen.leftover == leftover, "\(seen.leftover) bytes left over, must be \(leftover)")
            try promise(seen.trailers.isEmpty, "no trailers: \(seen.trailers)")
        case .invalid:
            try promise(seen.ending.isFailure, "a malformed chunked body is refused: \(seen)")
        case .incomplete:
            try promise(seen.ending != .delivered, "an incomplete chunked body is not delivered: \(seen)")
            try promise(
                seen.ending.isFailure || seen.body == model.body, "body so far \(seen.body), must be \(model.body)")
        case .trailers:
            try promise(seen.ending.isFailure || seen.body == model.body, "body \(seen.body), must be \(model.body)")
        }
    }
}

/// Decodes whole chunked bodies by RFC 9112 §7.1.
struct ChunkedModel {
    enum Ending: Equatable, Sendable {
        /// The body is complete, with this many bytes after it.
        case complete(leftover: Int)
        case invalid
        /// More bytes are needed. The present bytes may already be malformed.
        case incomplete
        /// The last chunk is complete. After it is a trailer section that has fields or is unfinished.
        case trailers
    }

    private(set) var body: [UInt8] = []
    private(set) var ending = Ending.incomplete

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while true {
            guard let end = rest.firstIndex(of: 0x0D), end + 1 < rest.endIndex else {
                if rest.contains(0x0A) { ending = .invalid }
                return
            }
            guard rest[end + 1] == 0x0A, let size = Self.size(of: Array(rest[..<end])) else {
                ending = .invalid
                return
            }
            rest = rest[(end + 2)...]
            guard size > 0 else {
                ending = rest.starts(with: [0x0D, 0x0A]) ? .complete(leftover: rest.count - 2) : .trailers
                return
            }
            let data = rest.prefix(Int(min(size, Int64(rest.count))))
            body += data
            rest = rest[data.endIndex...]
            guard Int64(data.count) == size, !rest.isEmpty else { return }
            guard rest.starts(with: [0x0D, 0x0A].prefix(rest.count)) else {
                ending = .invalid
                return
            }
            rest = rest.dropFirst(2)
            if rest.isEmpty { return }
        }
    }

    /// Returns the size in a chunk's line, without its CRLF; nil if the line is malformed.
    private static func size(of line: [UInt8]) -> Int64? {
        let digits = line.prefix { hexValue($0) != nil }
        guard !digits.isEmpty else { return nil }
        var size: Int64 = 0
        for digit in digits {
            let (shifted, overflowed) = size.multipliedReportingOverflow(by: 16)
            guard !overflowed else { return nil }
            size = shifted + Int64(hexValue(digit) ?? 0)
        }
        var extensions = line[digits.endIndex...]
        while !extensions.isEmpty {
            guard takeExtension(&extensions) else { return nil }
        }
        return size
    }

    /// `BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ]`.
    private static func takeExtension(_ rest: inout ArraySlice<UInt8>) -> Bool {
        rest = rest.drop(while: FuzzGrammar.isSpace)
        guard rest.first == UInt8(ascii: ";") else { return false }
        rest = rest.dropFirst().drop(while: FuzzGrammar.isSpace)
        guard takeToken(&rest) else { return false }
        let afterSpace = rest.drop(while: FuzzGrammar.isSpace)
        guard afterSpace.first == UInt8(ascii: "=") else { return true }
        rest = afterSpace.dropFirst().drop(while: FuzzGrammar.isSpace)
        return rest.first == UInt8(ascii: "\"") ? takeQuoted(&rest) : takeToken(&rest)
    }

    private static func takeToken(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let token = rest.prefix(while: FuzzGrammar.isToken)
        rest = rest[token.endIndex...]
        return !token.isEmpty
    }

    private static func takeQuoted(_ rest: inout ArraySlice<UInt8>) -> Bool {
        rest = rest.dropFirst()
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return true }
            guard FuzzGrammar.isText(byte) else { return false }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst(), FuzzGrammar.isText(escaped) else { return false }
            }
        }
        return false
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
