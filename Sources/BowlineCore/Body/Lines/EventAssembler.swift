package import NIOCore

/// Makes events from the lines of an event stream (WHATWG HTML §9.2.6). Pure.
///
/// | line | effect |
/// |---|---|
/// | empty | The event is complete: returned if it has data, dropped otherwise. |
/// | begins with `:` | Ignored. |
/// | `data` | The value and an LF are appended to the event's data. |
/// | `event` | Sets the event's type. |
/// | `id` | Sets the last event ID, for this event and later ones. Ignored if it has a NUL. |
/// | `retry` | Sets the time to wait before a reconnect, in ms. Ignored unless it has only digits. |
/// | another field | Ignored. |
///
/// If the stream ends within an event, that event is dropped.
package struct EventAssembler {
    /// The error for an event whose data is too long.
    package struct TooLong: Error {}

    private let maximum: Int
    private var data = ""
    /// The bytes of the data as received, with an LF for each line.
    private var dataBytes = 0
    private var type = ""
    private var id = ""
    private var retry: Duration?

    package init(maximum: Int) {
        self.maximum = maximum
    }

    /// Processes a line. `line` does not include the line end.
    ///
    /// - Returns: the event that the line completes; nil: none.
    package mutating func line(_ line: ByteBuffer) throws(TooLong) -> ServerSentEvent? {
        let bytes = line.readableBytesView
        guard !bytes.isEmpty else { return complete() }
        let colon = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
        var value = bytes[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        // A comment has an empty field name, so it is ignored like an unknown field.
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
