/// A form of several parts, which may be files: `multipart/form-data` (RFC 7578).
///
/// ```swift
/// var form = MultipartForm()
/// form.append("title", "Holidays")
/// form.append("photo", file: try await .file("beach.jpg"), fileName: "beach.jpg", contentType: "image/jpeg")
/// let response = try await client.post("albums", body: .multipart(form))
/// ```
/// Parts are read while the form is sent. The form's length is known if the length of every part is known. The form can
/// be sent again if every part can be sent again.
public struct MultipartForm: Sendable {
    /// One part of a form.
    public struct Part: Sendable {
        /// The field's name. It may be any text: quotes and line breaks are escaped as in browsers (`%22`, `%0D`,
        /// `%0A`).
        public var name: String
        /// The file's name, if the part is a file; nil: the part is a plain field. Escaped like ``name``.
        public var fileName: String?
        /// The part's media type, such as `image/jpeg`; nil: the body's `contentType`. If that is nil too, a file gets
        /// `application/octet-stream` and a plain field gets no type.
        public var contentType: String?
        /// The part's content. Its trailers are ignored.
        public var body: RequestBody

        /// Makes a part.
        public init(_ name: String, body: RequestBody, fileName: String? = nil, contentType: String? = nil) {
            self.name = name
            self.fileName = fileName
            self.contentType = contentType
            self.body = body
        }
    }

    /// The parts, in the order in which they are sent.
    public var parts: [Part]
    /// The delimiter between the parts. It is random, so that no part contains it.
    package let boundary: String

    /// Makes a form.
    public init(_ parts: [Part] = []) {
        self.init(parts, boundary: Self.randomBoundary())
    }

    package init(_ parts: [Part], boundary: String) {
        self.parts = parts
        self.boundary = boundary
    }

    /// Appends a text field.
    public mutating func append(_ name: String, _ value: String) {
        parts.append(Part(name, body: .text(value)))
    }

    /// Appends a file. Its content may be bytes, a stream, or a file on this machine (`.file(path)`).
    ///
    /// - Parameters:
    ///   - name: The field's name.
    ///   - file: The file's content.
    ///   - fileName: The file's name that is sent to the service.
    ///   - contentType: The file's media type; nil: the `contentType` of `file`, or `application/octet-stream` if that
    ///     is nil too.
    public mutating func append(_ name: String, file: RequestBody, fileName: String, contentType: String? = nil) {
        parts.append(Part(name, body: file, fileName: fileName, contentType: contentType))
    }

    /// Returns a boundary of 128 random bits. No part contains that boundary by chance, and no attacker can guess it.
    private static func randomBoundary() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<2).map { _ in
            let text = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return "bowline-\(digits.joined())"
    }
}

extension RequestBody {
    /// Makes a body from a form of several parts (`multipart/form-data`).
    ///
    /// - Throws: ``ServiceError`` `invalidRequest` if a part's content type has a control character, or if its declared
    ///   length is negative.
    public static func multipart(_ form: MultipartForm) throws -> RequestBody {
        let sections = try form.parts.map { try MultipartSection($0, boundary: form.boundary) }
        let chunks = MultipartChunks(sections: sections, boundary: form.boundary)
        var body: RequestBody =
            sections.allSatisfy { $0.body.isAlwaysReplayable }
            ? .replayable(length: chunks.length) { chunks } : .stream(chunks, length: chunks.length)
        body.contentType = "multipart/form-data; boundary=\(form.boundary)"
        return body
    }

    /// Whether the body can be sent any number of times.
    fileprivate var isAlwaysReplayable: Bool {
        switch kind {
        case .none, .bytes, .factory, .emptyFile: true
        case .stream: false
        }
    }
}
