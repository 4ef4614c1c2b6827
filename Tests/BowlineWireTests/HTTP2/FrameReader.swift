import BowlineTransport
import NIOCore

/// The bytes of one frame, put together here and not by the writer.
func frameBytes(
    _ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = [], length: Int? = nil
) -> [UInt8] {
    let length = length ?? payload.count
    var bytes: [UInt8] = []
    for shift in [16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
    bytes.append(type)
    bytes.append(flags)
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: stream >> UInt32(shift))) }
    bytes.append(contentsOf: payload)
    return bytes
}

/// Drives a parser as a connection does, and keeps what comes out.
struct FrameReader {
    private(set) var parser: HTTP2FrameParser
    private(set) var frames: [HTTP2ReceivedFrame] = []
    private(set) var violation: HTTP2Violation?
    /// The most that the parser held when it asked for more.
    private(set) var mostBuffered = 0

    /// - Parameter afterSettings: the server's first SETTINGS are received already, and not in `frames`.
    init(limits: HTTP2FrameLimits = HTTP2FrameLimits(), afterSettings: Bool = true) {
        parser = HTTP2FrameParser(limits: limits)
        guard afterSettings else { return }
        receive(frameBytes(4))
        frames = []
    }

    mutating func receive(_ bytes: some Sequence<UInt8>) {
        receive(ByteBuffer(bytes: bytes))
    }

    mutating func receive(_ buffer: ByteBuffer) {
        parser.append(buffer)
        do throws(HTTP2Violation) {
            while let frame = try parser.next() { frames.append(frame) }
        } catch {
            violation = error
        }
        mostBuffered = max(mostBuffered, parser.bufferedByteCount)
    }

    /// The frames, the pieces of each DATA frame put together.
    var joined: [HTTP2ReceivedFrame] {
        var all: [HTTP2ReceivedFrame] = []
        for frame in frames {
            if case .data(_, let more, let moreWindow, let ends, let endsStream) = frame,
                case .data(let stream, var bytes, let window, false, _)? = all.last
            {
                bytes.writeImmutableBuffer(more)
                all[all.count - 1] = .data(
                    stream: stream, bytes: bytes, windowBytes: window + moreWindow, endsFrame: ends,
                    endsStream: endsStream)
            } else {
                all.append(frame)
            }
        }
        return all
    }
}

/// One of each frame that a server may send, in an order that it may send them in.
enum SampleFrames {
    static let bytes: [UInt8] = parts.flatMap { $0 }

    private static let parts: [[UInt8]] = [
        frameBytes(4, [0, 3, 0, 0, 0, 100, 0xAB, 0xCD, 1, 2, 3, 4]),
        frameBytes(4, flags: 0x1),
        frameBytes(1, flags: 0x4, stream: 1, [0x88]),
        frameBytes(1, flags: 0x2D, stream: 3, [2, 0x80, 0, 0, 9, 16, 0x88, 0x89, 0, 0]),
        frameBytes(0, stream: 1, [0x68, 0x65, 0x6C, 0x6C, 0x6F]),
        frameBytes(0, flags: 0x8, stream: 1, [3, 0x70, 0x61, 0x64, 0x64, 0x65, 0x64, 0, 0, 0]),
        frameBytes(0, flags: 0x9, stream: 1, [4, 0, 0, 0, 0]),
        frameBytes(0, flags: 0x8, stream: 5, [0]),
        frameBytes(0, flags: 0x1, stream: 5),
        frameBytes(2, stream: 7, [0, 0, 0, 0, 1]),
        frameBytes(3, stream: 9, [0, 0, 0, 8]),
        frameBytes(6, [1, 2, 3, 4, 5, 6, 7, 8]),
        frameBytes(6, flags: 0x1, [8, 7, 6, 5, 4, 3, 2, 1]),
        frameBytes(8, [0x80, 0, 1, 0]),
        frameBytes(8, stream: 11, [0x7F, 0xFF, 0xFF, 0xFF]),
        frameBytes(8, stream: 11, [0x80, 0, 0, 0]),
        frameBytes(0xA, stream: 1, [0x61, 0x6C, 0x74, 0x2D, 0x73, 0x76, 0x63]),
        frameBytes(0xEE),
        frameBytes(2, stream: 13, [1, 2, 3]),
        frameBytes(1, flags: 0x1, stream: 15, [1, 2]),
        frameBytes(9, stream: 15, []),
        frameBytes(9, stream: 15, [3, 4, 5]),
        frameBytes(9, flags: 0x4, stream: 15, [6]),
        frameBytes(5, flags: 0x8, stream: 17, [1, 0, 0, 0, 2, 0x88, 0]),
        frameBytes(9, flags: 0x4, stream: 17, [0x89]),
        frameBytes(7, [0x80, 0, 0, 21, 0, 0, 0, 11, 0x64, 0x65, 0x62, 0x75, 0x67]),
        frameBytes(7, [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
    ]

    static let frames: [HTTP2ReceivedFrame] = [
        .settings([
            HTTP2SettingEntry(identifier: 3, value: 100), HTTP2SettingEntry(identifier: 0xABCD, value: 0x0102_0304),
        ]),
        .settingsAcknowledgement,
        headers(1, [0x88], endsStream: false),
        headers(3, [0x88, 0x89], endsStream: true),
        data(1, "hello", window: 5, endsStream: false),
        data(1, "padded", window: 10, endsStream: false),
        data(1, "", window: 5, endsStream: true),
        data(5, "", window: 1, endsStream: false),
        data(5, "", window: 0, endsStream: true),
        .priority(stream: 7),
        .reset(stream: 9, code: .cancel),
        .ping(0x0102_0304_0506_0708),
        .pong(0x0807_0605_0403_0201),
        .windowUpdate(stream: 0, increment: 256),
        .windowUpdate(stream: 11, increment: 0x7FFF_FFFF),
        .violation(
            HTTP2Violation(.protocolError, .stream(11), "a WINDOW_UPDATE of 0", rule: "RFC 9113 §6.9"), windowBytes: 0),
        .unknown(type: 0xA, stream: 1, length: 7),
        .unknown(type: 0xEE, stream: 0, length: 0),
        .violation(
            HTTP2Violation(
                .frameSizeError, .stream(13), "PRIORITY that is not 5 bytes long", rule: "RFC 9113 §6.3"),
            windowBytes: 0),
        headers(15, [1, 2, 3, 4, 5, 6], endsStream: true),
        .pushPromise(stream: 17),
        .goAway(lastStream: 21, code: .enhanceYourCalm),
        .goAway(lastStream: 0x7FFF_FFFF, code: .noError),
    ]

    private static func headers(_ stream: Int, _ block: [UInt8], endsStream: Bool) -> HTTP2ReceivedFrame {
        .headers(stream: stream, block: ByteBuffer(bytes: block), endsStream: endsStream)
    }

    private static func data(_ stream: Int, _ text: String, window: Int, endsStream: Bool) -> HTTP2ReceivedFrame {
        .data(
            stream: stream, bytes: ByteBuffer(string: text), windowBytes: window, endsFrame: true,
            endsStream: endsStream)
    }
}
