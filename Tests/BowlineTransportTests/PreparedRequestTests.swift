import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

/// Which part of a request is sent with its head, and how each protocol encodes it.
@Suite struct PreparedRequestTests {
    private static func prepared(
        _ body: RequestBody, isPooled: Bool = true, _ change: (inout ServiceRequest) throws -> Void = { _ in }
    ) throws -> PreparedRequest {
        var request = ServiceRequest(method: .put, "http://a.example/x", body: body)
        try change(&request)
        return try PreparedRequest(
            request, context: RequestContext(), started: MonotonicInstant(nanoseconds: 0), isPooled: isPooled)
    }

    private static let start = "PUT /x HTTP/1.1\r\nHost: a.example\r\n"

    @Test("HTTP/1.1: a small body follows the head in the same buffer each time the request is sent")
    func inline() throws {
        let request = try Self.prepared(.text("abc"))
        #expect(String(buffer: request.http1Head()) == Self.start + "Content-Length: 3\r\n\r\nabc")
        #expect(request.http1Head() == request.http1Head())
        #expect(String(buffer: request.inlineBody) == "abc")
    }

    @Test("A body as large as the limit goes out with the head; one byte more is streamed")
    func limit() throws {
        let limit = PreparedRequest.inlineLimit
        let inline = try Self.prepared(.bytes(repeatElement(0x61, count: limit)))
        let streamed = try Self.prepared(.bytes(repeatElement(0x61, count: limit + 1)))
        #expect(inline.inlineBody.readableBytes == limit)
        #expect(streamed.inlineBody.readableBytes == 0)
        #expect(
            String(buffer: streamed.http1Head()) == Self.start + "Content-Length: \(limit + 1)\r\n\r\n")
    }

    @Test("A body that waits for a 100 response does not go out with the head")
    func expectation() throws {
        let request = try Self.prepared(.text("abc")) { $0.fields[.expect] = "100-continue" }
        #expect(request.continueTimeout == PreparedRequest.defaultContinueTimeout)
        #expect(request.inlineBody.readableBytes == 0)
        #expect(
            String(buffer: request.http1Head())
                == Self.start + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    }

    @Test("RFC 9110 §10.1.1: a request with trailers only does not wait, and neither protocol sends Expect")
    func trailersAlone() throws {
        let body = RequestBody.none.trailers { [:] }
        let request = try Self.prepared(body) { $0.fields[.expect] = "100-continue" }
        #expect(request.continueTimeout == nil)
        #expect(String(buffer: request.http1Head()) == Self.start + "Transfer-Encoding: chunked\r\n\r\n")
        // Four pseudo-fields: of 42, 43, 51 and 39 bytes.
        #expect(request.http2Head.listSize == 42 + 43 + 51 + 39)
    }

    @Test("The connection closes after the request if the caller asks for it, or if there is no pool")
    func closeReason() throws {
        #expect(try Self.prepared(.none).closeReason == nil)
        #expect(try Self.prepared(.none, isPooled: false).closeReason == .poolingDisabled)
        #expect(try Self.prepared(.none) { $0.fields[.connection] = "close" }.closeReason == .connectionCloseRequested)
    }

    @Test("An invalid request is refused before there is a connection, with the check's message")
    func refused() throws {
        let error = #expect(throws: ServiceError.self) {
            try Self.prepared(.text("abc")) { $0.fields[.contentLength] = "4" }
        }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message == "Content-Length does not match the length of the body")
    }
}
