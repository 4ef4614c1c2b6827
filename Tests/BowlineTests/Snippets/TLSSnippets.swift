import Bowline

/// The snippets of Docs/TLS.md in their order, with the imports that it shows. Nothing here is run.
private enum TLSSnippets {
    static let secrets: [String: String] = [:]
    static let revocations = Revocations()

    struct Revocations {
        func isGood(_ certificate: [UInt8]) async throws -> Bool { !certificate.isEmpty }
    }

    struct Revoked: Error {
        let host: String
    }

    static func additionalRoots() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://wiki.internal") {
            $0.tls.additionalRoots = .file("company-roots.pem")
        }
        return client
    }

    static func identity() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://payments.internal") {
            $0.tls.identity = .files(certificate: "client.pem", key: "client.key", passphrase: secrets["client-key"])
        }
        return client
    }

    static func pins() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://payments.internal") {
            $0.tls.pins = [
                "sha256/0KHf8FJ1+VySuVNdGzYdD1M9fipTcdTaxlGX4L8FTIA=",  // in use
                "sha256/kx90E9TEGF716Tbh05nOKBcRWuK+7noqj3Oz7XE89d4=",  // kept in a safe
            ]
        }
        return client
    }

    static func verification() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://payments.internal") {
            $0.tls.verifyPeer = PeerVerification { peer in
                guard try await revocations.isGood(peer.certificate) else { throw Revoked(host: peer.host) }
            }
        }
        return client
    }
}
