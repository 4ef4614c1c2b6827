package import NIOCore

/// Makes events of the lines of an event stream (WHATWG HTML §9.2.6). Pure.
///
/// | line | effect |
/// |---|---|
/// | empty | The event is complete: returned if it has data, forgotten otherwise. |
/// | begins with `:` | Ignored. |
/// | `data` | Appended to the event's data, and an LF. |
/// | `event` | The event's type. |
/// | `id` | The last event ID, from the end of this event on; ignored if it has a NUL. |
/// | `retry` | The time to wait, in ms; ignored unless it is digits alone. |
/// | another field | Ignored. |
///
/// An event that the end of the stream cuts off is forgotten with the assembler.
package struct EventAssembler {
    /// An event's data is longer than it may be.
    package struct TooLong: Error {}

    private let maximum: Int
    private var data = ""
    /// Bytes of the data as received, with an LF for each line.
    private var dataBytes = 0
    private var type = ""
    private var id = ""
    private var retry: Duration?

    package init(maximum: Int) {
        self.maximum = maximum
    }

    /// Takes a line without its end.
    ///
    /// - Returns: the event that it completes.
    package mutating func line(_ line: ByteBuffer) throws(TooLong) -> ServerSentEvent? {
        let bytes = line.readableBytesView
        guard !bytes.isEmpty else { return complete() }
        let colon = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
        var value = bytes[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        // A comment is a field without a name: no field that is known.
        switch String(decoding: bytes[..<colon].prefix(6), as: UTF8.self) {
        case "data":
            dataBytes += value.count + 1
            guard dataBytes - 1 <= maximum else { throw TooLong() }
            data += String(decoding: value, as: UTF8.self) + "\n"
        case "event":
            type = String(decoding: value, as: UTF8.self)
        case "id":
            if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
        case "retry":
            let isNumber = !value.isEmpty && value.allSatisfy { (0x30...0x39).contains($0) }
            if isNumber, let time = Int64(String(decoding: value, as: UTF8.self)) { retry = .milliseconds(time) }
        default:
            break
        }
        return nil
    }

    private mutating func complete() -> ServerSentEvent? {
        defer {
            data = ""
            dataBytes = 0
            type = ""
        }
        guard dataBytes > 0 else { return nil }
        let text = String(decoding: data.utf8.dropLast(), as: UTF8.self)
        return ServerSentEvent(type: type.isEmpty ? "message" : type, data: text, id: id, retry: retry)
    }
}
