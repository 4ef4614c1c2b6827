import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2

/// A server of NIOHTTP2 without a socket: what it reads, stream by stream, and what it is told to write.
final class NIOHTTP2Peer {
    /// What came on one stream.
    struct Received {
        /// The first section, and the trailers if there are any.
        var sections: [[DrawnField]] = []
        var body: [UInt8] = []
        var hasEnded = false
        var resetCode: Int?
    }

    private let channel = EmbeddedChannel()
    private(set) var received: [Int: Received] = [:]
    private(set) var pings: [UInt64] = []
    private(set) var pongs: [UInt64] = []
    private(set) var clientSettings: [Int: Int] = [:]
    private(set) var settingsAcknowledgements = 0
    private(set) var goAway: (lastStream: Int, code: Int)?
    private(set) var errors: [any Error] = []

    init(settings: [HTTP2Setting]) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = settings
        connection.headerBlockValidation = .disabled
        connection.contentLengthValidation = .disabled
        // The walk sends more of these in a moment than a peer does in half a minute.
        connection.maximumSequentialEmptyDataFrames = 100_000
        connection.maximumSequentialContinuationFrames = 1_000
        connection.controlFrameRateLimit.maximumCount = 1_000_000
        connection.maximumConnectionGlitches = 1_000_000
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.streamResetFrameRateLimit.maximumCount = 1_000_000
        stream.streamErrorRateLimit.maximumCount = 1_000_000
        try channel.pipeline.syncOperations.addHandler(
            NIOHTTP2Handler(mode: .server, connectionConfiguration: connection, streamConfiguration: stream))
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/none"), promise: nil)
    }

    func close() { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// Reads what the client has written.
    func receive(_ bytes: ByteBuffer) throws {
        do {
            try channel.writeInbound(bytes)
        } catch {
            errors.append(error)
        }
        while let frame = try channel.readInbound(as: HTTP2Frame.self) { note(frame) }
    }

    /// Everything that it has written since the last call.
    func takeOutput() throws -> [UInt8] {
        var output: [UInt8] = []
        while let piece = try channel.readOutbound(as: ByteBuffer.self) { output += piece.readableBytesView }
        return output
    }

    func write(_ payload: HTTP2Frame.FramePayload, on stream: Int) {
        let id: HTTP2StreamID = stream == 0 ? .rootStream : HTTP2StreamID(stream)
        channel.writeAndFlush(HTTP2Frame(streamID: id, payload: payload), promise: nil)
    }

    func writeHeaders(_ fields: [DrawnField], endsStream: Bool, on stream: Int) {
        var headers = HPACKHeaders()
        for field in fields {
            headers.add(
                name: field.nameText, value: field.valueText, indexing: field.isSecret ? .neverIndexed : .indexable)
        }
        write(.headers(.init(headers: headers, endStream: endsStream)), on: stream)
    }

    func writeData(_ bytes: [UInt8], endsStream: Bool, on stream: Int) {
        write(.data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: endsStream)), on: stream)
    }

    func writeSettings(_ settings: [HTTP2Setting]) { write(.settings(.settings(settings)), on: 0) }

    func writePing(_ value: UInt64) { write(.ping(HTTP2PingData(withInteger: value), ack: false), on: 0) }

    private func note(_ frame: HTTP2Frame) {
        let stream = Int(frame.streamID)
        switch frame.payload {
        case .headers(let headers):
            received[stream, default: Received()].sections.append(
                headers.headers.map { DrawnField($0.name, $0.value) })
            if headers.endStream { received[stream]?.hasEnded = true }
        case .data(let data):
            if case .byteBuffer(let bytes) = data.data { received[stream]?.body += bytes.readableBytesView }
            if data.endStream { received[stream]?.hasEnded = true }
        case .rstStream(let code): received[stream]?.resetCode = code.networkCode
        case .settings(.settings(let settings)):
            for setting in settings { note(setting) }
        case .settings(.ack): settingsAcknowledgements += 1
        case .ping(let data, ack: let isAnswer):
            if isAnswer { pongs.append(data.integer) } else { pings.append(data.integer) }
        case .goAway(let last, let code, _): goAway = (Int(last), code.networkCode)
        case .priority, .pushPromise, .windowUpdate, .alternativeService, .origin: break
        }
    }

    private func note(_ setting: HTTP2Setting) {
        let known: [(HTTP2SettingsParameter, Int)] = [
            (.enablePush, 2), (.initialWindowSize, 4), (.maxFrameSize, 5), (.maxHeaderListSize, 6),
        ]
        for (parameter, identifier) in known where parameter == setting.parameter {
            clientSettings[identifier] = setting.value
        }
    }
}
