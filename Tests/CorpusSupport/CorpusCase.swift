import Foundation

/// The bytes that a server sends, and the verdict that a client must reach.
package struct CorpusCase: Sendable, Decodable {
    /// What the server does after the bytes.
    package enum End: String, Sendable, Decodable {
        /// It closes its side.
        case close
        /// It keeps the connection open: a client that waits for the end hangs.
        case open
    }

    /// What must become of the response.
    package enum Verdict: Sendable {
        case accept
        case reject
        /// Either, but always the same; if it is accepted then as the message that is given.
        case either
    }

    /// What must become of the body when its content codings are undone.
    package enum Decoding: String, Sendable, Decodable {
        case ok, fail, passthrough, either
        /// The limits in force by default have to stop it.
        case limit
    }

    package let id: String
    package let group: String
    /// Of the request.
    package let method: String
    package let bytes: [UInt8]
    /// Offsets at which the bytes are cut, each piece sent apart.
    package let chunking: [Int]
    package let end: End
    package let verdict: Verdict
    package let status: Int?
    /// Nil if not asserted.
    package let headers: [CorpusField]?
    package let body: [UInt8]?
    package let trailers: [CorpusField]?
    package let informational: [CorpusInformational]?
    /// Whether the connection may carry another request; nil if that is open.
    package let isReusable: Bool?
    /// Bytes after the end of the final message.
    package let leftover: Int?
    /// Nil outside the group `encoding`; our own decision where the RFCs leave it open.
    package let decoding: Decoding?
    /// The body with its codings undone, if it can be.
    package let decodedBody: [UInt8]?
    /// Lowercased names that must not be among the headers.
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

/// A field line: a name as spelled and a value.
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
