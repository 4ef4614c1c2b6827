import BowlineTransport
import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Compares the HTTP/1.1 parser with NIOHTTP1's (llhttp): if both accept a message, they read it in the same way.
///
/// Our parser is stricter by design. It refuses many messages that NIOHTTP1 accepts (`Tests/Corpus`); that is no
/// finding. A message that only our parser accepts is a finding, except for the differences in ``KnownDifference``.
///
/// Content: the bytes of a server. Numbers: whether the server closes.
enum DifferentialTarget {
    static func check(_ input: FuzzInput) throws {
        var input = input
        let isClosed = input.takeFlag()
        let bytes = input.content
        let ours = try ResponseRun.read([bytes[...]], to: .other, isClosed: isClosed)
        // After an informational response, or with bytes after the final response, the two results cannot be compared.
        guard ours.ending == .delivered, ours.leftover == 0, ours.informational.isEmpty else {
            try checkUnfinished(ours, bytes, isClosed)
            return
        }
        guard KnownDifference.first(in: bytes, as: ours) == nil else { return }
        guard let theirs = OtherResponse.decode(bytes, isClosed: isClosed) else {
            throw FuzzViolation("accepted here, refused by NIOHTTP1: \(ours)")
        }
        try promise(theirs.isComplete, "complete here, incomplete to NIOHTTP1: \(ours)")
        try promise(ours.status == theirs.status, "status \(ours.status ?? 0) here, \(theirs.status) to NIOHTTP1")
        try promise(ours.body == theirs.body, "body \(ours.body) here, \(theirs.body) to NIOHTTP1")
        try compare(ours.fields, theirs.fields, "fields")
        try compare(ours.trailers, theirs.trailers, "trailers")
    }

    /// If only NIOHTTP1 saw the end of a response, a caller of ours would wait for the end.
    private static func checkUnfinished(_ ours: ParsedResponse, _ bytes: [UInt8], _ isClosed: Bool) throws {
        guard ours.ending == .undecided, ours.status != nil, ours.informational.isEmpty,
            KnownDifference.first(in: bytes, as: ours) == nil,
            let theirs = OtherResponse.decode(bytes, isClosed: isClosed)
        else { return }
        try promise(!theirs.isComplete, "complete to NIOHTTP1, incomplete here: \(ours)")
    }

    private static func compare(_ ours: [FuzzField], _ theirs: [FuzzField], _ what: String) throws {
        try promise(ours.count == theirs.count, "\(ours.count) \(what) here, \(theirs.count) to NIOHTTP1")
        for (our, their) in zip(ours, theirs) {
            // NIOHTTP1 replaces bytes that are not UTF-8 by U+FFFD. Our parser reads them as ISO-8859-1.
            if their.value.unicodeScalars.contains("\u{FFFD}") { continue }
            try promise(our == their, "\(what): \(our) here, \(their) to NIOHTTP1")
        }
    }
}

/// NIOHTTP1's result for a response to a GET request.
struct OtherResponse {
    private(set) var status = 0
    private(set) var fields: [FuzzField] = []
    private(set) var body: [UInt8] = []
    private(set) var trailers: [FuzzField] = []
    private(set) var isComplete = false

    /// Returns the response; nil if NIOHTTP1 refuses the bytes.
    static func decode(_ bytes: [UInt8], isClosed: Bool) -> OtherResponse? {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish() }
        var response = OtherResponse()
        do {
            try channel.pipeline.syncOperations.addHandlers([
                HTTPRequestEncoder(),
                ByteToMessageHandler(HTTPResponseDecoder(informationalResponseStrategy: .forward)),
            ])
            let request = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
            try channel.writeOutbound(HTTPClientRequestPart.head(request))
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            if isClosed { channel.pipeline.fireChannelInactive() }
            while let part = try channel.readInbound(as: HTTPClientResponsePart.self) { response.note(part) }
            try channel.throwIfErrorCaught()
        } catch {
            return nil
        }
        return response
    }

    private mutating func note(_ part: HTTPClientResponsePart) {
        switch part {
        case .head(let head):
            status = Int(head.status.code)
            fields = head.headers.map { Self.field(name: $0.name, value: $0.value) }
        case .body(let bytes): body += bytes.readableBytesView
        case .end(let trailers):
            self.trailers = trailers?.map { Self.field(name: $0.name, value: $0.value) } ?? []
            isComplete = true
        }
    }

    /// Removes the whitespace after a value, as RFC 9110 §5.5 requires. NIOHTTP1 keeps it.
    private static func field(name: String, value: String) -> FuzzField {
        var value = value[...]
        while value.last == " " || value.last == "\t" { value.removeLast() }
        return FuzzField(name: name, value: String(value))
    }
}
