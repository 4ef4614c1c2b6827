import Bowline
import BowlineTesting
import Crypto
import Foundation
import Testing

@testable import Signing

@Suite("HMAC over method, target, date and body")
struct HMACSignerTests {
    /// The test vectors of RFC 4231 §4.2 to §4.4 for the function that the signature uses.
    @Test(
        "the codes of RFC 4231",
        arguments: [
            (
                Data(repeating: 0x0B, count: 20), Data("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Data("Jefe".utf8), Data("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                Data(repeating: 0xAA, count: 20), Data(repeating: 0xDD, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
        ])
    func codes(key: Data, text: Data, expected: String) {
        #expect(HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: key)).hexadecimal == expected)
    }

    @Test("The signed bytes are the sent bytes, and no other signature is valid")
    func signed() async throws {
        let signer = HMACSigner(secret: SymmetricKey(data: Data("secret".utf8))) {
            Date(timeIntervalSince1970: 1_440_938_160)
        }
        let stub = StubTransport()
        stub.on(.post, "/orders?a=1", always: .respond(.created))
        let client = try ServiceClient(baseURL: "https://api.example", transport: stub) {
            $0.authentication = signer.authentication
        }
        _ = try await client.post("orders?a=1", body: .text("an order"))
        let call = try #require(stub.calls.first)
        let signature = try #require(call.fields[HMACSigner.signature])
        let date = try #require(call.fields[HMACSigner.date])
        #expect(date == "2015-08-30T12:36:00Z")
        func isValid(_ method: String, _ target: String, _ date: String, _ body: ByteBuffer) -> Bool {
            signer.isValid(signature, method: method, target: target, date: date, body: body)
        }
        #expect(isValid("POST", "/orders?a=1", date, call.body))
        #expect(!isValid("PUT", "/orders?a=1", date, call.body))
        #expect(!isValid("POST", "/orders?a=2", date, call.body))
        #expect(!isValid("POST", "/orders?a=1", "2015-08-30T12:36:01Z", call.body))
        #expect(!isValid("POST", "/orders?a=1", date, ByteBuffer(string: "an ordeR")))
        #expect(!signer.isValid("zz", method: "POST", target: "/orders?a=1", date: date, body: call.body))
    }
}
