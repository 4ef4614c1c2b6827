import Bowline
import Crypto
import Foundation

/// Signs requests with HMAC-SHA256, with a secret that both sides know.
///
/// The signature covers the method, the target, the date and the body's SHA-256 in hexadecimal, each on its own line.
struct HMACSigner: Sendable {
    static let date = HTTPField.Name("X-Date")!
    static let signature = HTTPField.Name("X-Signature")!

    let secret: SymmetricKey
    let now: @Sendable () -> Date

    /// Returns an authenticator for a client. It signs each attempt again, including the bodies of streams and files.
    var authentication: SigningAuthentication {
        SigningAuthentication(bodyUpTo: 16 << 20) { request, _, body in
            let date = now().formatted(.iso8601)
            request.fields[Self.date] = date
            request.fields[Self.signature] = signature(
                method: request.method.rawValue, target: request.url?.target ?? "", date: date, body: body)
        }
    }

    func signature(method: String, target: String, date: String, body: ByteBuffer) -> String {
        HMAC<SHA256>.authenticationCode(for: signed(method, target, date, body), using: secret).hexadecimal
    }

    /// Verifies a signature, as the service does. Compares it in constant time.
    func isValid(_ signature: String, method: String, target: String, date: String, body: ByteBuffer) -> Bool {
        guard let code = Data(hexadecimal: signature) else { return false }
        let signed = signed(method, target, date, body)
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: secret)
    }

    private func signed(_ method: String, _ target: String, _ date: String, _ body: ByteBuffer) -> Data {
        let digest = body.withUnsafeReadableBytes { SHA256.hash(data: $0) }
        return Data([method, target, date, digest.hexadecimal].joined(separator: "\n").utf8)
    }
}

extension Sequence<UInt8> {
    var hexadecimal: String {
        map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

extension Data {
    init?(hexadecimal text: String) {
        let digits = text.compactMap(\.hexDigitValue)
        guard digits.count == text.count, digits.count.isMultiple(of: 2) else { return nil }
        self.init(stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
