import BowlineCore
import BowlineTransport
import NIOCore

/// Field sections over HTTP/2: only valid sections are accepted (RFC 9113 §8.2, §8.3).
///
/// Content: one field per line, with `=` between the name and the value. Numbers: whether the fields are trailers, how
/// many fields are allowed.
enum HTTP2Target {
    private struct Pair {
        let name: [UInt8]
        let value: [UInt8]

        init(_ line: ArraySlice<UInt8>) {
            let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            name = Array(parts[0])
            value = parts.count > 1 ? Array(parts[1]) : []
        }

        /// The field that a caller must get: the value has no whitespace around it, and is read as UTF-8 or else as
        /// ISO-8859-1.
        var delivered: FuzzField {
            var value = value[...]
            while value.first.map(FuzzGrammar.isSpace) == true { value.removeFirst() }
            while value.last.map(FuzzGrammar.isSpace) == true { value.removeLast() }
            // The 256 characters of ISO-8859-1 are the first 256 of Unicode.
            let text =
                String(validating: value, as: UTF8.self) ?? String(value.map { Character(Unicode.Scalar($0)) })
            return FuzzField(name: String(decoding: name, as: UTF8.self), value: text)
        }
    }

    private static let connectionFields = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]

    static func check(_ input: FuzzInput) throws {
        var input = input
        let isTrailer = input.takeFlag()
        let maximum = input.takeNumber(in: 0...16)
        let pairs = input.content.split(separator: 0x0A).map { Pair($0) }
        let received = try decode(pairs)
        let section: HTTP2FieldSection
        do throws(HTTP2FieldError) {
            section = try HTTP2FieldSection(received, isTrailer: isTrailer, maximumFields: maximum)
        } catch {
            try promise(error.description.utf8.count < 100, "an error is described in few words")
            return
        }
        try check(section, pairs, isTrailer: isTrailer)
        try promise(section.fields.count <= maximum, "\(section.fields.count) fields, the limit is \(maximum)")
    }

    /// Encodes the fields and decodes them again, so that they arrive as from a peer.
    private static func decode(_ pairs: [Pair]) throws -> HPACKFields {
        var encoder = HPACKSectionEncoder()
        var decoder = HPACKSectionDecoder()
        var block = ByteBuffer()
        encoder.begin(into: &block)
        for pair in pairs {
            pair.name.withUnsafeBytes { name in
                pair.value.withUnsafeBytes { value in
                    encoder.encode(name: name, value: value, indexing: .automatic, into: &block)
                }
            }
        }
        do throws(HPACKError) {
            return try decoder.decode(block, limits: HPACKLimits(), allocator: ByteBufferAllocator())
        } catch {
            throw FuzzViolation("fields that were encoded cannot be decoded: \(error)")
        }
    }

    private static func check(_ section: HTTP2FieldSection, _ pairs: [Pair], isTrailer: Bool) throws {
        try promise(isTrailer == (section.status == nil), "a head has a status, trailers have none")
        if let status = section.status { try promise((100...999).contains(status), "\(status) is a status code") }
        let pseudo = pairs.prefix(while: { $0.name.first == UInt8(ascii: ":") })
        try promise(pseudo.count == (isTrailer ? 0 : 1), "\(pseudo.count) pseudo-fields in front")

        let fields = FuzzField.all(of: section.fields)
        let expected = pairs.dropFirst(pseudo.count).map(\.delivered)
        try promise(fields == expected, "the fields are \(fields), must be \(expected)")
        for field in fields {
            try FuzzGrammar.checkField(name: field.name, value: field.value)
            try promise(field.name.utf8.allSatisfy { !(0x41...0x5A).contains($0) }, "\(field.name) is in lower case")
            try promise(!connectionFields.contains(field.name), "\(field.name) has no place in HTTP/2")
        }
        let lengths = fields.filter { $0.name == "content-length" }.map(\.value)
        for length in lengths {
            try promise(Int64(length) == section.contentLength, "\(length), read as \(section.contentLength ?? -1)")
        }
        try promise(lengths.isEmpty == (section.contentLength == nil), "a length comes of its field")
        try promise(section.contentLength ?? 0 >= 0, "a length is not negative")
    }
}
