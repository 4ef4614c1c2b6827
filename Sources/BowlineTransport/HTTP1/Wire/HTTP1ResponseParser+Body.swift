import BowlineCore
import NIOCore

extension HTTP1ResponseParser {
    mutating func nextOfLength(_ remaining: Int64) throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard let bytes = takeBytes(upTo: remaining) else { return try starved() }
        let left = remaining - Int64(bytes.readableBytes)
        state = left == 0 ? .ending(trailers: nil) : .length(remaining: left)
        return .body(bytes)
    }

    mutating func nextUntilClose() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        if let bytes = takeBytes(upTo: .max) { return .body(bytes) }
        guard hasReceivedEOF else { return .needMoreBytes }
        state = .idle
        return .end(trailers: nil)
    }

    mutating func nextOfChunks() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        while true {
            if case .chunkData(let remaining) = state {
                guard let bytes = takeBytes(upTo: remaining) else { return try starved() }
                let left = remaining - Int64(bytes.readableBytes)
                chunks.dataDelivered(bytes.readableBytes)
                if left == 0 {
                    chunks.dataEnded()
                    state = .chunkLine
                } else {
                    state = .chunkData(remaining: left)
                }
                return .body(bytes)
            }
            switch try scanChunkLine() {
            case .needsMore: return try starved()
            case .dataEnd: break
            case .chunk(size: 0):
                state = .trailers
                trailers = HTTP1FieldScanner(isTrailer: true, startingAt: 0)
                return try nextFromTrailers()
            case .chunk(let size): state = .chunkData(remaining: size)
            }
        }
    }

    mutating func nextFromTrailers() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        let view = buffer
        let limits = limits
        let isComplete = try view.withUnsafeReadableBytes { bytes throws(HTTP1ParseError) in
            let window = UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, limits.maximumTrailerBytes)])
            if try trailers.scan(window, limits: limits) { return true }
            guard window.count < limits.maximumTrailerBytes else { throw HTTP1ParseError(.trailersTooLarge) }
            return false
        }
        guard isComplete else { return try starved() }
        let bytes = takeSection(trailers, isBodyHere: true)
        state = .ending(trailers: trailers.spans.isEmpty ? nil : ReceivedFields(bytes: bytes, spans: trailers.spans))
        return try next()
    }

    private mutating func scanChunkLine() throws(HTTP1ParseError) -> HTTP1ChunkScanner.Result {
        let view = buffer
        let (result, used) = try view.withUnsafeReadableBytes { bytes throws(HTTP1ParseError) in
            try chunks.scan(bytes, limits: limits)
        }
        buffer.moveReaderIndex(forwardBy: used)
        return result
    }

    /// Removes at most `limit` bytes from the buffer and returns them; nil: the buffer is empty.
    private mutating func takeBytes(upTo limit: Int64) -> ByteBuffer? {
        let available = buffer.readableBytes
        guard available > 0 else { return nil }
        if Int64(available) <= limit {
            defer { buffer = ByteBuffer() }
            return buffer
        }
        return buffer.readSlice(length: Int(limit))
    }
}
