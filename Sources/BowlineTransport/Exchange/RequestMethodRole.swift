/// The effect of a request's method on its head and on its response.
enum RequestMethodRole {
    case head, connect, other
    /// The method normally has content. A request without content says so by `Content-Length: 0` (RFC 9110 §8.6).
    case withContent

    /// Makes the role of a method. Methods are case-sensitive.
    init(_ method: UnsafeRawBufferPointer) {
        self =
            switch (method.count, method.first) {
            case (3, UInt8(ascii: "P")): method.isEqual(to: "PUT") ? .withContent : .other
            case (4, UInt8(ascii: "H")): method.isEqual(to: "HEAD") ? .head : .other
            case (4, UInt8(ascii: "P")): method.isEqual(to: "POST") ? .withContent : .other
            case (5, UInt8(ascii: "P")): method.isEqual(to: "PATCH") ? .withContent : .other
            case (7, UInt8(ascii: "C")): method.isEqual(to: "CONNECT") ? .connect : .other
            default: .other
            }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func isEqual(to text: StaticString) -> Bool {
        text.withUTF8Buffer { elementsEqual($0) }
    }
}
