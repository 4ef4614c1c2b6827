import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

/// Reads all that a connection of an ``HTTP2Harness`` writes, with a compression table of its own, and compares each request with
/// what its stream was asked to send.
struct HTTP2HarnessLedger: Sendable {
    private struct Arrival {
        var fields: [HTTP2WireField]
        var body = ByteBuffer()
        var hasEnded = false
    }

    private var reader = HTTP2WireReader()
    private var arrivals: [Int: Arrival] = [:]
    private var asked: [(exchange: Exchange, request: ServiceRequest)] = []
    private var problems: [String] = []

    /// An exchange was made for this request.
    mutating func asked(_ request: ServiceRequest, for exchange: Exchange) {
        asked.append((exchange, request))
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

    /// What differs, in words. Call this on the event loop.
    func differences() -> [String] {
        problems
            + arrivals.sorted { $0.key < $1.key }.flatMap { stream, arrival in
                guard let request = asked.first(where: { $0.exchange.streamID == stream })?.request else {
                    return ["no request was to go out on stream \(stream)"]
                }
                return differences(arrival, request).map { "stream \(stream): \($0)" }
            }
    }

    private func differences(_ arrival: Arrival, _ request: ServiceRequest) -> [String] {
        var found: [String] = []
        let came = arrival.fields.filter { !["content-length", "expect"].contains($0.name) }
        if came != Self.fields(of: request) { found.append("\(came) came, not \(Self.fields(of: request))") }
        // A body from a sequence cannot be read again.
        guard case .bytes(let bytes) = request.body.kind else {
            let isEmpty = request.body.isNone && arrival.body.readableBytes > 0
            return found + (isEmpty ? ["a body came, and there is none"] : [])
        }
        let count = arrival.body.readableBytes
        if arrival.hasEnded, count != bytes.readableBytes {
            found.append("a body of \(count) bytes came, not of \(bytes.readableBytes)")
        }
        if !bytes.readableBytesView.starts(with: arrival.body.readableBytesView) { found.append("another body came") }
        return found
    }

    /// The fields that the request goes out with, without those that speak of its body.
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
