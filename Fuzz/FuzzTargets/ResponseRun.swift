import BowlineCore
import BowlineTransport
import NIOCore

/// A delivered field.
struct FuzzField: Equatable {
    let name: String
    let value: String

    static func all(of fields: ReceivedFields) -> [FuzzField] {
        fields.map { FuzzField(name: $0.name, value: $0.value) }
    }
}

/// All results of a parser.
struct ParsedResponse: Equatable {
    enum Ending: Equatable {
        case undecided, delivered
        case failed(HTTP1ParseError.Reason)

        var isFailure: Bool { if case .failed = self { true } else { false } }
    }

    var ending = Ending.undecided
    var status: Int?
    var reason: [UInt8] = []
    var fields: [FuzzField] = []
    var body: [UInt8] = []
    var trailers: [FuzzField] = []
    var informational: [Int] = []
    var keepsAlive = false
    var keepAliveTimeout: Int?
    var leftover = 0

    /// Whether a caller sees the same result. After a failure only the error counts, because the parts before it depend
    /// on the cuts.
    func isSame(as other: ParsedResponse) -> Bool {
        ending.isFailure ? ending == other.ending : self == other
    }
}

/// Passes bytes to a parser, as a connection does, and checks each event.
struct ResponseRun {
    private var parser: HTTP1ResponseParser
    private let limits: HTTP1Limits
    private var framing: HTTP1BodyFraming?
    private var eventsLeft: Int
    private(set) var seen = ParsedResponse()

    /// - Parameter byteCount: How many bytes the parser will get. It limits the number of events.
    init(to kind: RequestKind, limits: HTTP1Limits = HTTP1Limits(), byteCount: Int) {
        self.limits = limits
        parser = HTTP1ResponseParser(limits: limits)
        parser.beginResponse(to: kind)
        eventsLeft = byteCount + limits.maximumInformationalResponses + 2
    }

    mutating func receive(_ bytes: ArraySlice<UInt8>) throws {
        parser.append(ByteBuffer(bytes: bytes))
        try drain(isOver: false)
    }

    mutating func receiveEOF() throws {
        try drain(isOver: true)
    }

    /// Reads all pieces, then the end of the input if `isClosed`.
    static func read(
        _ pieces: [ArraySlice<UInt8>], to kind: RequestKind, limits: HTTP1Limits = HTTP1Limits(), isClosed: Bool
    ) throws -> ParsedResponse {
        let byteCount = pieces.reduce(0) { $0 + $1.count }
        var run = ResponseRun(to: kind, limits: limits, byteCount: byteCount)
        for piece in pieces { try run.receive(piece) }
        if isClosed { try run.receiveEOF() }
        return run.seen
    }

    private mutating func drain(isOver: Bool) throws {
        var isFirst = true
        while true {
            let event: HTTP1ResponseEvent
            do throws(HTTP1ParseError) {
                event = try next(atEnd: isOver && isFirst)
            } catch {
                try note(error)
                return
            }
            isFirst = false
            guard try note(event) else { break }
            eventsLeft -= 1
            try promise(eventsLeft >= 0, "the parser yields no more events than there are bytes")
        }
        seen.leftover = parser.leftoverByteCount
        let bound = max(limits.maximumHeadBytes, limits.maximumTrailerBytes)
        try promise(
            parser.bufferedByteCount < bound, "\(parser.bufferedByteCount) bytes are held, the limit is \(bound)")
        if isOver { try promise(seen.ending != .undecided, "the end of input ends a response") }
    }

    private mutating func next(atEnd isAtEnd: Bool) throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard isAtEnd else { return try parser.next() }
        guard let event = try parser.receivedEOF() else { return .needMoreBytes }
        return event
    }

    private mutating func note(_ error: HTTP1ParseError) throws {
        if case .failed(let earlier) = seen.ending {
            try promise(earlier == error.reason, "an error stays: \(earlier), then \(error.reason)")
        }
        seen.ending = .failed(error.reason)
        try promise(parser.bufferedByteCount == 0, "a parser that failed holds no bytes")
        try promise(error.description.utf8.count < 200, "an error's description is short")
    }

    /// Checks and records an event. Returns whether more events may follow.
    private mutating func note(_ event: HTTP1ResponseEvent) throws -> Bool {
        if case .needMoreBytes = event { return false }
        try promise(seen.ending == .undecided, "nothing follows the end of a response")
        switch event {
        case .needMoreBytes: break
        case .informational(let head):
            try check(head)
            try promise(head.statusCode < 200 && seen.status == nil, "a 1xx precedes the final response")
            seen.informational.append(head.statusCode)
        case .head(let head, let framing):
            try check(head)
            try promise(seen.status == nil, "a response has one head")
            self.framing = framing
            seen.status = head.statusCode
            seen.reason = Array(head.reasonBytes.readableBytesView)
            seen.fields = FuzzField.all(of: head.fields)
            seen.keepsAlive = head.persistence.keepAlive
            seen.keepAliveTimeout = head.persistence.keepAliveTimeout
        case .body(let bytes):
            try promise(bytes.readableBytes > 0, "a piece of a body is not empty")
            try promise(framing != nil, "a head precedes its body")
            seen.body += bytes.readableBytesView
        case .end(let trailers):
            if let trailers {
                try promise(framing == .chunked, "only a chunked body has trailers")
                try promise(
                    trailers.count <= limits.maximumTrailerFields, "\(trailers.count) trailers exceed the limit")
                try check(trailers)
                seen.trailers = FuzzField.all(of: trailers)
            }
            try checkLength()
            seen.ending = .delivered
        }
        return true
    }

    private func checkLength() throws {
        guard let framing else { throw FuzzViolation("a response without a head has no end") }
        switch framing {
        case .none: try promise(seen.body.isEmpty, "\(seen.body.count) bytes of a body that is none")
        case .length(let length):
            try promise(Int64(seen.body.count) == length, "\(seen.body.count) bytes of a body of \(length)")
        case .chunked, .untilClose: break
        }
    }

    private func check(_ head: HTTP1ResponseHead) throws {
        try promise((100...999).contains(head.statusCode), "\(head.statusCode) is a status code")
        try promise((0...1).contains(head.minorVersion), "\(head.minorVersion) is a minor version")
        try promise(head.fields.count <= limits.maximumFields, "\(head.fields.count) fields exceed the limit")
        let reason = head.reasonBytes.readableBytesView
        try promise(reason.allSatisfy(FuzzGrammar.isText), "a reason phrase has no control character")
        if let timeout = head.persistence.keepAliveTimeout {
            try promise((0...999_999_999).contains(timeout), "\(timeout) s of a Keep-Alive field")
        }
        try check(head.fields)
    }

    private func check(_ fields: ReceivedFields) throws {
        for field in fields {
            try FuzzGrammar.checkField(name: field.name, value: field.value)
        }
    }
}
