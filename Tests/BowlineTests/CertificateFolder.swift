import BowlineTesting
import Foundation
import Testing

/// The certificates of `Tests/Certificates`. They resemble those of `TestCertificates`, in less common shapes.
enum CertificateFolder {
    private static var folder: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Certificates")
    }

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    static func text(_ name: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }

    /// The authority that issued the certificates.
    static func authority() throws -> String { try text("authority.pem") }

    static func identity(_ name: String) throws -> TestCertificates.Identity {
        TestCertificates.Identity(certificate: try text("\(name).pem"), key: try text("\(name).key"))
    }

    /// The encoding of the first certificate in a PEM text.
    static func der(_ pem: String) -> [UInt8] {
        let lines = pem.split(whereSeparator: \.isNewline).drop { !$0.hasPrefix("-----BEGIN") }.dropFirst()
        return Data(base64Encoded: lines.prefix { !$0.hasPrefix("-----") }.joined()).map(Array.init) ?? []
    }
}

/// A row of `Tests/Corpus/tls-identities.jsonl`.
struct IdentityRow: Decodable, Sendable, CustomTestStringConvertible {
    let id: String
    let host: String
    let serverName: String?
    let names: [String]
    let verdict: String
    /// curl's verdict on the same certificate; `-`: curl does not get as far as a verdict.
    let curl: String

    var testDescription: String { id }

    static func load() throws -> [IdentityRow] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Corpus/tls-identities.jsonl")
        return try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map { line in
            try JSONDecoder().decode(IdentityRow.self, from: Data(line))
        }
    }
}
