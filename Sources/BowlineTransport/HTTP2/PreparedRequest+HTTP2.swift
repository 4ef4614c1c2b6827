internal import BowlineCore

extension PreparedRequest {
    /// The reason why the request cannot be sent over HTTP/2; nil: it can be sent.
    var http2Refusal: String? {
        switch kind {
        case .connect: "CONNECT is not supported over HTTP/2"
        case .upgrade: "HTTP/2 has no Upgrade (RFC 9113 §8.6); ask for HTTP/1.1 with http2.negotiation"
        case .head, .other: nil
        }
    }

    /// The request's head for HTTP/2.
    var http2Head: HTTP2RequestHead {
        HTTP2RequestHead(checked, scheme: origin.scheme.rawValue)
    }
}
