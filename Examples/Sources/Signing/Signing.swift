import Bowline
import BowlineTesting
import Claims
import Crypto
import Foundation

/// Signs requests, including their bodies, with a custom HMAC and with AWS Signature Version 4. The server checks the
/// signatures: `swift run --package-path Examples Signing`.
@main
enum Signing {
    static func main() async throws {
        try await withLoopbackServer { server in
            try await hmac(server)
            try await sigV4(server)
        }
    }

    private static func hmac(_ server: LoopbackServer) async throws {
        print("HMAC-SHA256 over method, target, date and body")
        let signer = HMACSigner(secret: SymmetricKey(size: .bits256)) { Date() }
        server.route(.post, "/orders") { request in
            let isValid = signer.isValid(
                request.fields[HMACSigner.signature] ?? "", method: request.method.rawValue, target: request.target,
                date: request.fields[HMACSigner.date] ?? "", body: request.body)
            return .reply(isValid ? 201 : 403)
        }
        let client = try ServiceClient(baseURL: server.baseURL) { $0.authentication = signer.authentication }
        let bytes = try await client.post("orders?dry=1", body: .text("one order"))
        claim("bytes are accepted", bytes.status == .created)
        let stream = try await client.post("orders", body: .stream(chunks("an order ", "in chunks")))
        claim("a stream is read, signed and accepted", stream.status == .created)
        await client.shutdown()
    }

    private static func sigV4(_ server: LoopbackServer) async throws {
        print("AWS Signature Version 4, the body hashed in chunks")
        server.route(.put, "/objects/{name}") { request in
            let scheme = request.fields[.authorization]?.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") ?? false
            return .reply(scheme && request.fields.contains(SigV4.date) ? 200 : 403, body: request.bodyText)
        }
        let client = try ServiceClient(baseURL: server.baseURL) {
            $0.authentication = SigV4(
                credentials: .init(accessKey: "AKIDEXAMPLE", secretKey: "an example's"), region: "eu-central-1",
                service: "objects", now: { Date() })
        }
        let response = try await client.put("objects/a", body: .replayable { chunks("hashed first, ", "then sent") })
        claim("it has its signature", response.status == .ok)
        claim("what was hashed is sent", try await response.text() == "hashed first, then sent")
        await client.shutdown()
    }

    @Sendable private static func chunks(_ texts: String...) -> AsyncStream<ByteBuffer> {
        AsyncStream { continuation in
            for text in texts { continuation.yield(ByteBuffer(string: text)) }
            continuation.finish()
        }
    }
}
