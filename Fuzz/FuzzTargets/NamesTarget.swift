import BowlineCore
import NIOCore

/// The names, file names and types of a form's parts: none of them can begin a new line, field or part.
///
/// Content: the name, a NUL, the file name, a NUL, the type. The file name and the type may be absent.
enum NamesTarget {
    private static let boundary = "bowline-0123456789abcdef"

    static func check(_ input: FuzzInput) throws {
        let texts = input.content.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        let fileName = texts.count > 1 ? texts[1] : nil
        let type = texts.count > 2 ? texts[2] : nil
        let part = MultipartForm.Part(texts[0], body: .text("content"), fileName: fileName, contentType: type)
        let section: MultipartSection
        do {
            section = try MultipartSection(part, boundary: boundary)
        } catch let error as ServiceError {
            try promise(error.code == .invalidRequest, "a part is refused as invalidRequest: \(error.code)")
            try promise(type.map(FuzzGrammar.isPrintable) == false, "only a type with a control character is refused")
            try promise(FuzzGrammar.isPrintable(error.message), "a message has no control character")
            return
        }
        try checkHead(String(buffer: section.head), texts[0], fileName, type)
    }

    private static func checkHead(_ head: String, _ name: String, _ fileName: String?, _ type: String?) throws {
        var lines = ["--\(boundary)", "Content-Disposition: form-data; name=\"\(escaped(name))\""]
        if let fileName { lines[1] += "; filename=\"\(escaped(fileName))\"" }
        if let type = type ?? fileName.map({ _ in "application/octet-stream" }) {
            lines.append("Content-Type: \(type)")
        }
        let model = lines.joined(separator: "\r\n") + "\r\n\r\n"
        try promise(
            head.utf8.elementsEqual(model.utf8), "the head \(head.debugDescription), must be \(model.debugDescription)")
        let breaks = head.utf8.count(where: { $0 == 0x0A })
        try promise(breaks == lines.count + 1, "\(breaks) line breaks in \(lines.count) lines")
    }

    /// Percent-encodes the quotation mark and control characters, byte by byte.
    private static func escaped(_ name: String) -> String {
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            if byte == UInt8(ascii: "\"") || byte < 0x20 || byte == 0x7F {
                let digits = Array("0123456789ABCDEF".utf8)
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
