internal import ArgumentParser
internal import Bowline

/// The method, the fields and the body of each request.
struct MessageArguments: ParsableArguments {
    @Option(
        name: .customShort("X"),
        help: ArgumentHelp("The method. (default: GET, or POST with a body)", valueName: "method")
    )
    var method: String?

    @Option(
        name: .customShort("H"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A header field; may be given several times.", valueName: "name: value")
    )
    var headers: [String] = []

    @Option(
        name: .customShort("d"), parsing: .unconditional,
        help: ArgumentHelp("The body, as text.", valueName: "data")
    )
    var data: String?

    @Option(
        help: ArgumentHelp(
            "A file with the body; - is standard input. Anything but a regular file is sent chunked, once.",
            valueName: "file"
        )
    )
    var dataFile: String?

    @Option(
        help: ArgumentHelp(
            "A file of further URLs, each on its own line, with its method before it if it has one.",
            valueName: "file"
        )
    )
    var targets: String?
}

extension MessageArguments {
    /// Makes the part of the requests that does not depend on the URL.
    ///
    /// - Throws: `ValidationError`, which says what is wrong. Of a header field it contains at most the name.
    func makeTemplate() throws -> ServiceRequest {
        let hasBody = data != nil || dataFile != nil
        let name = method ?? (hasBody ? "POST" : "GET")
        guard let method = HTTPRequest.Method(name) else {
            throw ValidationError("-X: the method is not a token: letters, digits and a few signs, at least one")
        }
        var request = ServiceRequest(method: method, "", body: try makeBody())
        for header in headers {
            let (name, value) = try Self.split(header)
            do {
                try request.appendField(name, value)
            } catch let error as ServiceError {
                throw ValidationError("-H: \(error.message)")
            }
        }
        return request
    }

    /// Whether the body can be sent for one request only.
    func hasOneShotBody() throws -> Bool {
        try dataFile.map { try !BodyFile($0).isReplayable } ?? false
    }

    private func makeBody() throws -> RequestBody {
        if data != nil, dataFile != nil { throw ValidationError("-d and --data-file cannot be given together") }
        if let data { return .text(data) }
        guard let dataFile else { return .none }
        return try BodyFile(dataFile).requestBody
    }

    /// Splits a header at the first colon. Spaces and tabs around the value do not belong to it (RFC 9110 §5.5).
    static func split(_ header: String) throws -> (name: String, value: String) {
        let bytes = header.utf8
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
            throw ValidationError("-H: a header is written 'Name: value'; this one has no colon")
        }
        var value = bytes[bytes.index(after: colon)...]
        while let first = value.first, first == 0x20 || first == 0x09 { value = value.dropFirst() }
        while let last = value.last, last == 0x20 || last == 0x09 { value = value.dropLast() }
        return (String(Substring(bytes[..<colon])), String(Substring(value)))
    }
}
