import Foundation

/// The bytes that a server sends, and the result that a client must reach.
package struct CorpusCase: Sendable, Decodable {
    /// What the server does after it has sent the bytes.
    package enum End: String, Sendable, Decodable {
        /// The server closes its side.
        case close
        /// The server keeps the connection open. A client that waits for the end hangs.
        case open
    }

    /// Whether the client must accept the response.
    package enum Verdict: Sendable {
        case accept
        case reject
        /// The client may accept or reject the response, but must always do the same. If it accepts it, then as the
        /// given message.
        case either
    }

    /// The result of removing the content codings of the body.
    package enum Decoding: String, Sendable, Decodable {
        case ok, fail, passthrough, either
        /// The default limits must stop the decoding.
        case limit
    }

    package let id: String
    package let group: String
    /// The method of the request.
    package let method: String
    package let bytes: [UInt8]
    /// Offsets at which the bytes are cut. Each piece is sent separately.
    package let chunking: [Int]
    package let end: End
    package let verdict: Verdict
    package let status: Int?
    /// Nil: not checked.
    package let headers: [CorpusField]?
    package let body: [UInt8]?
    package let trailers: [CorpusField]?
    package let informational: [CorpusInformational]?
    /// Whether the connection may carry another request; nil: either is correct.
    package let isReusable: Bool?
    /// The number of bytes after the end of the final message.
    package let leftover: Int?
    /// Nil outside the group `encoding`. Where the RFCs allow several results, this is our own decision.
    package let decoding: Decoding?
    /// The body without its content codings, if they can be removed.
    package let decodedBody: [UInt8]?
    /// Lowercased names that must be absent from the headers.
    package let forbiddenHeaders: [String]

    private enum CodingKeys: String, CodingKey {
        case id, group, method, chunking, eof, expect
        case bytes = "bytes_base64"
    }

    private struct Expectation: Decodable {
        let outcome: String
        let policy: String?
        let status: Int?
        let headers: [CorpusField]?
        let body_base64: Data?
        let trailers: [CorpusField]?
        let informational: [CorpusInformational]?
        let reusable: Bool?
        let leftover: Int?
        let forbid_headers: [String]?
        let decode: Decoding?
        let decode_policy: Decoding?
        let decoded_base64: Data?
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        group = try container.decode(String.self, forKey: .group)
        method = try container.decode(String.self, forKey: .method)
        bytes = try Array(container.decode(Data.self, forKey: .bytes))
        chunking = try container.decodeIfPresent([Int].self, forKey: .chunking) ?? []
        end = try container.decode(End.self, forKey: .eof)
        let expectation = try container.decode(Expectation.self, forKey: .expect)
        verdict =
            switch expectation.policy ?? expectation.outcome {
            case "accept": .accept
            case "reject": .reject
            default: .either
            }
        status = expectation.status
        headers = expectation.headers
        body = expectation.body_base64.map(Array.init)
        trailers = expectation.trailers
        informational = expectation.informational
        isReusable = expectation.reusable
        leftover = expectation.leftover
        decoding = expectation.decode_policy ?? expectation.decode
        decodedBody = expectation.decoded_base64.map(Array.init)
        forbiddenHeaders = expectation.forbid_headers ?? []
    }
}

/// A field line: a name as it was spelled, and a value.
package struct CorpusField: Sendable, Hashable, Decodable, CustomStringConvertible {
    package let name: String
    package let value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    package init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        name = try container.decode(String.self)
        value = try container.decode(String.self)
    }

    package var description: String { "\(name): \(value)" }
}

/// A 1xx response: its status and fields.
package struct CorpusInformational: Sendable, Hashable, Decodable {
    package let status: Int
    package let headers: [CorpusField]

    package init(status: Int, headers: [CorpusField]) {
        self.status = status
        self.headers = headers
    }

    package init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        status = try container.decode(Int.self)
        headers = try container.decode([CorpusField].self)
    }
}
