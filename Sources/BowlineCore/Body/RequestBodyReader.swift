package import NIOCore

/// The reader of a request body for one attempt. A transport pulls the chunks from it.
package struct RequestBodyReader {
    private enum Source {
        case bytes(ByteBuffer?)
        case sequence(RequestBodySequence.Iterator)
        case stream(OneShotBody.Reader)
    }

    /// The size of the slices in which a large body in memory is sent. With slices, the client notices when a peer
    /// stops reading.
    private static let sliceSize = 131_072

    private var source: Source

    /// Returns the next chunk, never empty; nil at the end.
    package mutating func next() async throws -> ByteBuffer? {
        switch source {
        case .bytes(var buffer?):
            let slice = buffer.readSlice(length: min(buffer.readableBytes, Self.sliceSize))
            source = .bytes(buffer.readableBytes == 0 ? nil : buffer)
            return slice
        case .bytes(nil):
            return nil
        case .sequence(let iterator):
            var chunk = try await iterator.next()
            while let empty = chunk, empty.readableBytes == 0 { chunk = try await iterator.next() }
            return chunk
        case .stream(var reader):
            let chunk = try await reader.next()
            source = .stream(reader)
            return chunk
        }
    }

    fileprivate init(_ body: RequestBody, replayLimit: Int) async throws {
        switch body.kind {
        case .none: source = .bytes(nil)
        case .bytes(let buffer): source = .bytes(buffer.readableBytes == 0 ? nil : buffer)
        case .factory(let make), .emptyFile(let make): source = .sequence(try await make().makeIterator())
        case .stream(let stream): source = .stream(try stream.makeReader(replayLimit: replayLimit))
        }
    }
}

extension RequestBody {
    /// Starts reading from the first byte.
    ///
    /// - Parameter replayLimit: How many bytes of a one-shot stream are kept for the next attempt.
    package func makeReader(replayLimit: Int) async throws -> RequestBodyReader {
        try await RequestBodyReader(self, replayLimit: replayLimit)
    }

    /// Records that a response has begun. From now on no bytes of a one-shot stream are kept for replay.
    package func commit() {
        if case .stream(let stream) = kind { stream.commit() }
    }

    /// Whether the body is a one-shot stream of which nothing was read, and which can still be sent.
    package var isUntouchedStream: Bool {
        if case .stream(let stream) = kind { stream.isUntouched } else { false }
    }

    /// Abandons the body: cancels the sequence of a one-shot stream. Other bodies do not change.
    package func abandon() {
        if case .stream(let stream) = kind { stream.abandon() }
    }
}
