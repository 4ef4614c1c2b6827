internal import BowlineCore

/// Checks the fields of a request one after the other, and collects what the encoders need to know about them.
///
/// Reads each string once, in place.
struct RequestFieldCheck {
    private let framing: RequestFraming
    /// The value of the `Host` field, if there is one.
    private(set) var host: String?
    private(set) var hasUpgrade = false
    /// Whether `Connection` says `close`.
    private(set) var saysClose = false
    /// Whether `Expect` says `100-continue`.
    private(set) var saysExpect = false
    private(set) var asksForTrailers = false
    /// Whether each field is `plain` or `secret`.
    private(set) var isPlain = true
    private(set) var hasSecrets = false
    /// The bytes that the fields take as lines of HTTP/1.1.
    private(set) var byteCount = 0

    init(framing: RequestFraming) {
        self.framing = framing
    }

    /// Checks the next field.
    @inline(__always)
    mutating func take(_ field: HTTPField) throws(RequestCheckError) {
        let (role, nameCount) = try Self.role(of: field)
        let (isText, valueCount) = field.withUnsafeBytesOfValue { value in
            let value = UnsafeRawBufferPointer(value)
            return (HTTP1Grammar.endOfText(in: value, from: 0) == value.count, value.count)
        }
        byteCount += nameCount + valueCount + 4
        guard case .plain = role else { return try take(field, as: role, isText: isText) }
        guard isText else { throw Self.invalidValue(of: field) }
    }

    @inline(never)
    private mutating func take(
        _ field: HTTPField, as role: RequestFieldRole, isText: Bool
    ) throws(RequestCheckError) {
        isPlain = isPlain && role == .secret
        switch role {
        case .plain, .dropped: return
        case .secret: hasSecrets = true
        case .cookie: break
        case .upgrade: hasUpgrade = true
        case .host: return try takeHost(field.value)
        case .contentLength: return try checkContentLength(field.value)
        case .connection: return try takeConnection(field.value)
        case .transferEncoding:
            guard framing == .chunked, field.says("chunked") else { throw RequestCheckError(.invalidTransferEncoding) }
            return
        case .trailersWanted:
            guard field.says("trailers") else { throw RequestCheckError(.unsupportedTE) }
            asksForTrailers = true
            return
        case .expect:
            guard field.says("100-continue") else { throw RequestCheckError(.unsupportedExpectation) }
            saysExpect = true
            return
        }
        guard isText else { throw Self.invalidValue(of: field) }
    }

    /// Returns the role of the field, and the length of its name.
    @inline(__always)
    private static func role(
        of field: HTTPField
    ) throws(RequestCheckError) -> (role: RequestFieldRole, count: Int) {
        let found = field.name.rawName.withBytes { name -> (RequestFieldRole, Int)? in
            HTTP1Grammar.isToken(name) ? (RequestFieldRole(name), name.count) : nil
        }
        guard let found else { throw RequestCheckError(.invalidFieldName, fieldName: field.name.rawName) }
        return found
    }

    @inline(never)
    private static func invalidValue(of field: HTTPField) -> RequestCheckError {
        RequestCheckError(.invalidFieldValue, fieldName: field.name.rawName)
    }

    private mutating func takeHost(_ value: String) throws(RequestCheckError) {
        guard host == nil else { throw RequestCheckError(.repeatedHost) }
        host = value
    }

    private func checkContentLength(_ value: String) throws(RequestCheckError) {
        let isRight =
            switch framing {
            case .none: value == "0"
            case .length(let length): value == String(length)
            case .chunked: false
            }
        guard isRight else { throw RequestCheckError(.invalidContentLength) }
    }

    /// The options of `Connection` that a request may have, beside `close`.
    private static let connectionOptions: [StaticString] = ["keep-alive", "upgrade", "te"]

    private mutating func takeConnection(_ value: String) throws(RequestCheckError) {
        var value = value
        var isSupported = true
        value.withUTF8 { bytes in
            UnsafeRawBufferPointer(bytes).forEachListElement { option in
                if option.equalsIgnoringCase("close") {
                    saysClose = true
                } else if !Self.connectionOptions.contains(where: option.equalsIgnoringCase) {
                    isSupported = false
                }
            }
        }
        guard isSupported else { throw RequestCheckError(.unsupportedConnectionOption) }
    }
}

extension HTTPField {
    /// Whether the value is `text`, ignoring case. `text` must be in lower case.
    fileprivate func says(_ text: StaticString) -> Bool {
        withUnsafeBytesOfValue { UnsafeRawBufferPointer($0).equalsIgnoringCase(text) }
    }
}
