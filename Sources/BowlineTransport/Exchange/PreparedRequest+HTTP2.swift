internal import BowlineCore
internal import NIOCore

extension PreparedRequest {
    /// The body that goes out with the head; empty if there is none, or if it is streamed.
    var inlineBody: ByteBuffer {
        head.getSlice(at: head.readerIndex + headLength, length: head.readableBytes - headLength) ?? ByteBuffer()
    }

    /// Why the request cannot be sent over HTTP/2, if so.
    var http2Refusal: String? {
        switch kind {
        case .connect: "CONNECT is not supported over HTTP/2"
        case .upgrade: "HTTP/2 has no Upgrade (RFC 9113 §8.6); ask for HTTP/1.1 with http2.negotiation"
        case .head, .other: nil
        }
    }

    private var authority: String {
        guard hasHostField, let field = fields.first(where: { $0.name.canonicalName == "host" }) else {
            return origin.authority
        }
        return field.value
    }

    /// The field section of its HTTP/2 head.
    var http2Head: HTTP2RequestHead {
        let contentLength: Int64? =
            switch framing {
            case .none: method == .post || method == .put || method == .patch ? 0 : nil
            case .length(let length): length
            case .chunked: nil
            }
        return HTTP2RequestHead(
            method: method.rawValue, scheme: origin.scheme.rawValue, authority: authority, target: target,
            fields: fields, contentLength: contentLength, expectsContinue: continueTimeout != nil
        )
    }
}
