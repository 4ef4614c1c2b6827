import Bowline
import Crypto
import Foundation

/// Signs requests with AWS Signature Version 4, for services other than S3.
///
/// The body is hashed in chunks: a file of any size is read twice and never kept in memory. A stream longer than 64 KiB
/// cannot be sent after hashing, and fails with `requestBodyConsumed`. Make such a stream `.replayable`.
struct SigV4: RequestAuthenticator {
    struct Credentials: Sendable {
        var accessKey: String
        var secretKey: String
        var sessionToken: String?
    }

    static let date = HTTPField.Name("X-Amz-Date")!
    static let securityToken = HTTPField.Name("X-Amz-Security-Token")!

    let credentials: Credentials
    let region: String
    let service: String
    let now: @Sendable () -> Date

    func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        guard let url = request.url else { return }
        var hash = SHA256()
        for try await chunk in request.body.chunks { chunk.withUnsafeReadableBytes { hash.update(bufferPointer: $0) } }
        let time = Self.basicFormat(now())
        request.fields[Self.date] = time
        if let token = credentials.sessionToken { request.fields[Self.securityToken] = token }

        let signed = signedFields(of: request, host: url.origin.authority)
        let names = signed.map(\.name).joined(separator: ";")
        let canonical =
            [request.method.rawValue, Self.canonicalPath(url.path), Self.canonicalQuery(url.query ?? "")]
            + signed.map { "\($0.name):\($0.value)" } + ["", names, hash.finalize().hexadecimal]
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let text = ["AWS4-HMAC-SHA256", time, scope, Self.digest(canonical.joined(separator: "\n"))]
        let signature = Self.code(text.joined(separator: "\n"), key: signingKey(day: String(time.prefix(8))))
        request.fields[.authorization] =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), "
            + "Signature=\(signature.hexadecimal)"
    }

    /// The fields that must be signed, by name: `host`, `content-type` and the fields of AWS.
    private func signedFields(of request: ServiceRequest, host: String) -> [(name: String, value: String)] {
        var values: [String: [String]] = ["host": [host]]
        for field in request.fields {
            let name = field.name.canonicalName
            guard name == "content-type" || name.hasPrefix("x-amz-") else { continue }
            let words = field.value.split(separator: " ", omittingEmptySubsequences: true)
            values[name, default: []].append(words.joined(separator: " "))
        }
        return values.sorted { $0.key < $1.key }.map { ($0.key, $0.value.joined(separator: ",")) }
    }

    private func signingKey(day: String) -> SymmetricKey {
        var key = SymmetricKey(data: Data("AWS4\(credentials.secretKey)".utf8))
        for part in [day, region, service, "aws4_request"] { key = SymmetricKey(data: Self.code(part, key: key)) }
        return key
    }

    /// The path of the request, percent-encoded a second time.
    static func canonicalPath(_ path: String) -> String {
        path.split(separator: "/", omittingEmptySubsequences: false).map { encode(Array($0.utf8)) }
            .joined(separator: "/")
    }

    /// Names and values, percent-encoded by the rules of AWS, in byte order.
    static func canonicalQuery(_ query: String) -> String {
        let items = query.split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: encode(decoded(parts[0])), value: parts.count > 1 ? encode(decoded(parts[1])) : "")
        }
        return items.sorted { ($0.name, $0.value) < ($1.name, $1.value) }.map { "\($0.name)=\($0.value)" }
            .joined(separator: "&")
    }

    private static func decoded(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    private static func encode(_ bytes: [UInt8]) -> String {
        let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
        return bytes.map { kept.contains($0) ? String(Unicode.Scalar($0)) : "%" + [$0].hexadecimal.uppercased() }
            .joined()
    }

    private static func digest(_ text: String) -> String { SHA256.hash(data: Data(text.utf8)).hexadecimal }

    private static func code(_ text: String, key: SymmetricKey) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
    }

    /// `20150830T123600Z`.
    private static func basicFormat(_ date: Date) -> String {
        date.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
    }
}

extension SigV4.Credentials: CustomStringConvertible, CustomReflectable {
    /// The access key, without the secret and the token.
    var description: String { "Credentials(\(accessKey))" }

    var customMirror: Mirror { Mirror(self, children: ["accessKey": accessKey]) }
}
