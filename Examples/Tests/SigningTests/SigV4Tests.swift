import Bowline
import BowlineTesting
import Foundation
import Testing

@testable import Signing

/// The values of AWS's own test suite for Signature Version 4 (`aws-sig-v4-test-suite`: `get-vanilla` and so on). If
/// the test's name says so, the values are those of botocore 1.43 for the same credentials and time.
@Suite("AWS Signature Version 4")
struct SigV4Tests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        var method: HTTPRequest.Method = .get
        var reference = "/"
        var base = "https://example.amazonaws.com"
        var contentType: String?
        var body = ""
        let signed: String
        let signature: String
        var testDescription: String { name }
    }

    private static let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    static let vectors: [Vector] = [
        Vector(
            name: "get-vanilla", signed: "host;x-amz-date",
            signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        Vector(
            name: "post-vanilla", method: .post, signed: "host;x-amz-date",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Vector(
            name: "get-vanilla-query-order-key-case", reference: "/?Param2=value2&Param1=value1",
            signed: "host;x-amz-date",
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Vector(
            name: "get-vanilla-empty-query-key", reference: "/?Param1=value1", signed: "host;x-amz-date",
            signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        Vector(
            name: "get-vanilla-query-unreserved", reference: "/?\(unreserved)=\(unreserved)", signed: "host;x-amz-date",
            signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        Vector(
            name: "post-vanilla-query", method: .post, reference: "/?Param1=value1", signed: "host;x-amz-date",
            signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        Vector(
            name: "post-x-www-form-urlencoded", method: .post, contentType: "application/x-www-form-urlencoded",
            body: "Param1=value1", signed: "content-type;host;x-amz-date",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        Vector(
            name: "post-x-www-form-urlencoded-parameters", method: .post,
            contentType: "application/x-www-form-urlencoded; charset=utf8", body: "Param1=value1",
            signed: "content-type;host;x-amz-date",
            signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"),
        Vector(
            name: "botocore: an encoded path, a query in disorder and a body", method: .put,
            reference: "/a%20b/%2Fc;d=1,2?b=%2F%20x&a=%C3%A4&a=1&c", contentType: "text/plain", body: "hello",
            signed: "content-type;host;x-amz-date",
            signature: "b1024523b4cf4c2426ee57c087d2330a9d36bd3be81732aa1e735955b6206946"),
        Vector(
            name: "botocore: a port and a body of 500 kB", method: .put, reference: "/x",
            base: "https://example.amazonaws.com:8443", body: String(repeating: "hello", count: 100_000),
            signed: "host;x-amz-date", signature: "331e3e0380e798aa6eac7dc9af4a762b209fbec0b9b94ea27232bbdb63b1978a"),
    ]

    @Test("the signatures of the published test suite, over bytes and over chunks", arguments: vectors)
    func published(vector: Vector) async throws {
        let stub = StubTransport()
        stub.on(nil, vector.reference, always: .respond(.ok))
        let client = try ServiceClient(baseURL: vector.base, transport: stub) {
            $0.authentication = SigV4(
                credentials: .init(
                    accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                region: "us-east-1", service: "service",
                // 2015-08-30T12:36:00Z
                now: { Date(timeIntervalSince1970: 1_440_938_160) })
        }
        let bytes = ByteBuffer(string: vector.body)
        let bodies: [RequestBody] = [
            vector.body.isEmpty ? .none : .bytes(bytes),
            .replayable(length: bytes.readableBytes) { Pieces(bytes: bytes) },
        ]
        for body in bodies {
            var request = ServiceRequest(method: vector.method, vector.reference, body: body)
            request.fields[.contentType] = vector.contentType
            _ = try await client.send(request)
            #expect(
                stub.calls.last?.fields[.authorization]
                    == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                    + "SignedHeaders=\(vector.signed), Signature=\(vector.signature)")
            #expect(stub.calls.last?.fields[SigV4.date] == "20150830T123600Z")
            #expect(stub.calls.last?.bodyText == vector.body)
        }
    }

    /// Returns the bytes in pieces of 7.
    private struct Pieces: AsyncSequence, Sendable {
        let bytes: ByteBuffer

        struct AsyncIterator: AsyncIteratorProtocol {
            var rest: ByteBuffer

            mutating func next() async throws -> ByteBuffer? {
                rest.readableBytes == 0 ? nil : rest.readSlice(length: Swift.min(7, rest.readableBytes))
            }
        }

        func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes) }
    }
}
