import BowlineCore
import BowlineTransport
import NIOCore
import NIOHPACK

/// Field sections over HTTP/2: what is accepted has a place there (RFC 9113 §8.2, §8.3).
///
/// Content: a field in each line, its name and value parted by `=`. Numbers: whether they are trailers, how many are allowed.
enum HTTP2Target {
    private static let connectionFields = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]

    static func check(_ input: FuzzInput) throws {
        var input = input
        let isTrailer = input.takeFlag()
        let maximum = input.takeNumber(in: 0...16)
        let pairs = input.content.split(separator: 0x0A).map { line -> (String, String) in
            let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
        let section: HTTP2FieldSection
        do throws(HTTP2FieldError) {
            section = try HTTP2FieldSection(
                HPACKHeaders(pairs), isTrailer: isTrailer, maximumFields: maximum, allocator: ByteBufferAllocator())
        } catch {
            try promise(error.description.utf8.count < 100, "an error is described in few words")
            return
        }
        try check(section, pairs, isTrailer: isTrailer)
        try promise(section.fields.count <= maximum, "\(section.fields.count) fields, the limit is \(maximum)")
    }

    private static func check(_ section: HTTP2FieldSection, _ pairs: [(String, String)], isTrailer: Bool) throws {
        try promise(isTrailer == (section.status == nil), "a head has a status, trailers have none")
        if let status = section.status { try promise((100...999).contains(status), "\(status) is a status code") }
        let pseudo = pairs.prefix(while: { $0.0.utf8.first == UInt8(ascii: ":") })
        try promise(pseudo.count == (isTrailer ? 0 : 1), "\(pseudo.count) pseudo-fields in front")

        let fields = FuzzField.all(of: section.fields)
        try promise(fields.map(\.name) == pairs.dropFirst(pseudo.count).map { $0.0 }, "the fields are those that came")
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
