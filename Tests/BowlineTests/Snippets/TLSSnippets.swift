import Bowline

/// The snippets of Docs/TLS.md in their order, with the imports that it shows. Nothing here is run.
private enum TLSSnippets {
    static let secrets: [String: String] = [:]

    static func snippet1() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://payments.internal") {
            $0.tls.identity = .files(certificate: "client.pem", key: "client.key", passphrase: secrets["client-key"])
        }
        return client
    }
}
