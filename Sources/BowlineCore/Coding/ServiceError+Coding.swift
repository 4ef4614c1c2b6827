extension ServiceError {
    /// A value of this type could not be encoded.
    package init(encoding type: Any.Type, _ error: any Error) {
        var message = "cannot encode \(Self.name(of: type))"
        if case .invalidValue(_, let context)? = error as? EncodingError {
            message += " at \(Self.readable(context.codingPath))"
        }
        self.init(.encodingFailed, message, underlying: error)
    }

    /// A body could not be decoded as this type. The message says where and how it differs, and never the value.
    ///
    /// - Parameters:
    ///   - format: The media type that the decoder decodes, as `application/json`.
    ///   - mediaType: The response's media type, as `text/html`.
    package init(
        decoding type: Any.Type, isEmpty: Bool, format: String? = nil, mediaType: String? = nil, _ error: any Error
    ) {
        let name = Self.name(of: type)
        let detail =
            switch error as? DecodingError {
            case .keyNotFound(let key, let context):
                "no value at \(Self.readable(context.codingPath + [key]))"
            case .valueNotFound(let wanted, let context):
                "null at \(Self.readable(context.codingPath)) where \(Self.name(of: wanted)) is needed"
            case .typeMismatch(let wanted, let context):
                "not \(Self.name(of: wanted)) at \(Self.readable(context.codingPath))"
            case .dataCorrupted(let context) where context.codingPath.isEmpty:
                isEmpty ? "the body is empty" : Self.notValid(format, mediaType)
            case .dataCorrupted(let context):
                "invalid value at \(Self.readable(context.codingPath))"
            default:
                "the decoder threw \(Swift.type(of: error))"
            }
        self.init(
            .decodingFailed, "cannot decode \(name): \(detail)", underlying: error, progress: .responseStarted,
            phase: .receivingBody
        )
    }

    /// A line of a body, counted from 1, could not be decoded as this type.
    package init(decoding type: Any.Type, line: Int, _ error: any Error) {
        let whole = ServiceError(decoding: type, isEmpty: false, error)
        self.init(
            .decodingFailed, "line \(line): \(whole.message)", underlying: error, progress: .responseStarted,
            phase: .receivingBody)
    }

    /// Names the response's media type only if that explains the failure: a page of HTML, say, instead of a value.
    private static func notValid(_ format: String?, _ mediaType: String?) -> String {
        let text = "the body is not valid" + (format.map { " \(MediaType.format(of: $0))" } ?? "")
        guard let mediaType, let format, mediaType != MediaType.name(of: format) else { return text }
        return text + ": its Content-Type is \(mediaType)"
    }

    private static func name(of type: Any.Type) -> String { unquoted(String(describing: type)) }

    private static func unquoted(_ text: String) -> String { String(text.printable.dropFirst().dropLast()) }

    /// A coding path as `items[3].price`. Keys that come from the body, as a dictionary's, are not shown: only an
    /// enumeration's are sure to be the program's.
    private static func readable(_ path: [any CodingKey]) -> String {
        var text = ""
        for key in path {
            if let index = key.intValue {
                text += "[\(index)]"
            } else if Mirror(reflecting: key).displayStyle != .enum {
                text += text.isEmpty ? "*" : ".*"
            } else {
                text += (text.isEmpty ? "" : ".") + Self.unquoted(key.stringValue)
            }
        }
        return text.isEmpty ? "the top level" : text
    }
}
