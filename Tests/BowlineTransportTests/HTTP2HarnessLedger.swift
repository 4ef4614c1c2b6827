import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

/// Reads all that a connection of an ``HTTP2Harness`` writes, with a compression table of its own, and compares each request with
/// what its stream was asked to send.
struct HTTP2HarnessLedger: Sendable {
    fileprivate struct Arrival {
        var fields: [HTTP2WireField]
        var body = ByteBuffer()
        var hasEnded = false
    }

    /// The request that a stream is meant to send.
    fileprivate struct Asked {
        let request: ServiceRequest
        /// What the request's one-shot body yields.
        let streamed: ByteBuffer?
    }

    /// The bytes received on a stream, and the request it was meant to send.
    struct Comparison: Sendable {
        let stream: Int
        fileprivate let arrival: Arrival
        fileprivate let asked: Asked?
    }

    private var reader = HTTP2WireReader()
    private var arrivals: [Int: Arrival] = [:]
    private var asked: [(exchange: Exchange, what: Asked)] = []
    private(set) var problems: [String] = []

    /// An exchange was made for this request.
    ///
    /// - Parameter streamed: What the request's body yields if it is a `.stream`, which cannot be read again.
    mutating func asked(_ request: ServiceRequest, streamed: ByteBuffer?, for exchange: Exchange) {
        asked.append((exchange, Asked(request: request, streamed: streamed)))
    }

    /// The connection has written these bytes.
    mutating func written(_ bytes: ByteBuffer) {
        reader.append(bytes)
        while let frame = reader.next() {
            if frame.kind == .headers { section(frame) }
            if frame.kind == .data {
                if arrivals[frame.stream] == nil { problems.append("DATA before HEADERS on stream \(frame.stream)") }
                arrivals[frame.stream]?.body.writeImmutableBuffer(frame.payload)
            }
            if frame.endsStream { arrivals[frame.stream]?.hasEnded = true }
        }
    }

    private mutating func section(_ frame: HTTP2WireFrame) {
        do {
            let fields = try reader.fields(of: frame)
            // A second section is the trailers.
            if arrivals[frame.stream] == nil { arrivals[frame.stream] = Arrival(fields: fields) }
        } catch {
            problems.append("the fields of stream \(frame.stream) cannot be decoded: \(error)")
        }
    }

    /// The values to compare. Call this on the event loop.
    func comparisons() -> [Comparison] {
        arrivals.sorted { $0.key < $1.key }.map { stream, arrival in
            let asked = asked.first { $0.exchange.streamID == stream }
            return Comparison(stream: stream, arrival: arrival, asked: asked?.what)
        }
    }

    /// The differences, in words.
    static func differences(in comparison: Comparison) async -> [String] {
        guard let asked = comparison.asked else { return ["no request was to go out on stream \(comparison.stream)"] }
        let arrival = comparison.arrival
        var found: [String] = []
        let came = arrival.fields.filter { !["content-length", "expect"].contains($0.name) }
        let fields = fields(of: asked.request)
        if came != fields { found.append("\(came) came, not \(fields)") }
        do {
            let bytes = try await bytes(of: asked, for: arrival)
            let count = arrival.body.readableBytes
            if arrival.hasEnded, count != bytes.readableBytes { found.append("a body of \(count) bytes came whole") }
            if bytes.getSlice(at: bytes.readerIndex, length: count) != arrival.body {
                found.append("another body came")
            }
        } catch {
            found.append("the body cannot be compared: \(error)")
        }
        return found.map { "stream \(comparison.stream): \($0)" }
    }

    private struct UnknownStream: Error {}

    /// The body's bytes, as many as are to be compared: a sequence may have no end, or none before more has come.
    private static func bytes(of asked: Asked, for arrival: Arrival) async throws -> ByteBuffer {
        let body = asked.request.body
        if let bytes = body.bytes { return bytes }
        guard !body.isStream else {
            guard let streamed = asked.streamed else { throw UnknownStream() }
            return streamed
        }
        // Up to the end of a body that has arrived completely.
        let count = arrival.body.readableBytes + (arrival.hasEnded ? 1 : 0)
        var bytes = ByteBuffer()
        var chunks = body.chunks.makeAsyncIterator()
        while bytes.readableBytes < count, let chunk = try await chunks.next() { bytes.writeImmutableBuffer(chunk) }
        return bytes
    }

    /// The fields that the request is sent with, without the fields that describe its body.
    private static func fields(of request: ServiceRequest) -> [HTTP2WireField] {
        guard let url = try? request.url ?? ServiceURL(request.reference) else { return [] }
        var fields = [
            HTTP2WireField(":method", request.method.rawValue), HTTP2WireField(":scheme", url.origin.scheme.rawValue),
            HTTP2WireField(":authority", url.origin.authority), HTTP2WireField(":path", url.target),
        ]
        for field in request.fields { fields.append(HTTP2WireField(field.name.canonicalName, field.value)) }
        return fields
    }
}
