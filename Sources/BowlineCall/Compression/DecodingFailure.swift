internal import BowlineCore

/// The reason why a body cannot be decoded any further.
package enum DecodingFailure: Error, Equatable {
    /// The bytes are not valid in the coding. `reason` is a fixed text, in most cases from zlib.
    case damaged(ContentCoding, reason: String)
    /// The body ended within the coded data.
    case truncated(ContentCoding)
    /// Bytes follow the coded data.
    case trailingBytes(ContentCoding)
    /// The decoded body is longer than `decompression.maximumBytes`.
    case tooManyBytes(limit: Int)
    /// The decoded body is more than `decompression.maximumRatio` times larger than its received bytes.
    case ratioTooHigh(limit: Int)
    /// zlib got no memory.
    case outOfMemory

    var code: ServiceError.Code {
        switch self {
        case .damaged, .truncated, .trailingBytes, .outOfMemory: .decompressionFailed
        case .tooManyBytes, .ratioTooHigh: .decompressionLimitExceeded
        }
    }

    var message: String {
        switch self {
        case .damaged(let coding, let reason): "the response body is not valid \(coding.rawValue): \(reason)"
        case .truncated(let coding): "the response body ended within its \(coding.rawValue) data"
        case .trailingBytes(let coding): "the response body goes on after its \(coding.rawValue) data"
        case .tooManyBytes(let limit):
            "the decoded response body is larger than decompression.maximumBytes, \(limit)"
        case .ratioTooHigh(let limit):
            "the decoded response body is more than \(limit) times larger than what was received "
                + "(decompression.maximumRatio)"
        case .outOfMemory: "there is no memory to decode the response body in"
        }
    }
}
