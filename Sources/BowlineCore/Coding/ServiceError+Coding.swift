extension ServiceError {
    /// Makes the error for a value of this type that could not be encoded.
    package init(encoding type: Any.Type, _ error: any Error) {
        var message = "cannot encode \(Self.name(of: type))"
        if case .invalidValue(_, let context)? = error as? EncodingError {
            message += " at \(Self.readable(context.codingPath))"
        }
        self.init(.encodingFailed, message, underlying: error)
    }

    /// Makes the error for a body that could not be decoded as this type. The message says where and how the body
    /// differs from the type. It never contains the value.
    ///
    /// - Parameters:
    ///   - format: The media type that the decoder decodes, for example `application/json`.
    ///   - mediaType: The response's media type, for example `text/html`.
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

    /// Makes the error for a line of a body that could not be decoded as this type. Lines count from 1.
    package init(decoding type: Any.Type, line: Int, _ error: any Error) {
        let whole = ServiceError(decoding: type, isEmpty: false, error)
        self.init(
            .decodingFailed, "line \(line): \(whole.message)", underlying: error, progress: .responseStarted,
            phase: .receivingBody)
    }

    /// Returns the text for a body that is not valid in its format. It names the response's media type only if that
    /// explains the failure, for example if an HTML page arrived instead of a value.
    private static func notValid(_ format: String?, _ mediaType: String?) -> String {
        let text = "the body is not valid" + (format.map { " \(MediaType.format(of: $0))" } ?? "")
        guard let mediaType, let format, mediaType != MediaType.name(of: format) else { return text }
        return text + ": its Content-Type is \(mediaType)"
    }

    private static func name(of type: Any.Type) -> String { unquoted(String(describing: type)) }

    private static func unquoted(_ text: String) -> String { String(text.printable.dropFirst().dropLast()) }

    /// Returns a coding path as text, for example `items[3].price`. Keys of an enumeration come from the program and
    /// are shown. Any other key, for example of a dictionary, may come from the body and is shown as `*`.
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
