internal import BowlineCore

/// Compresses a request's body once per call, if the request's options say so (`options.compression`).
///
/// Each attempt and hop sends the same compressed body. A body in memory is compressed before it is sent, so its length
/// is known. A sequence is compressed while it is sent, so its length is unknown, and it is sent chunked. A compressed
/// body can be sent again if the original body can be sent again. A sequence that is made again for another attempt is
/// compressed again.
struct RequestCompression: Sendable {
    /// How many bytes of a one-shot stream are kept for a second sending (`connection.replayLimit`).
    let replayLimit: Int

    /// Whether the request's body is to be compressed.
    func concerns(_ request: ServiceRequest) -> Bool {
        request.ownOptions?.value.compression == .gzip && Self.hasContent(request.body)
    }

    /// Returns the request with its body compressed.
    ///
    /// - Throws: ``ServiceError``: `invalidRequest`, `requestBodyConsumed`, and errors of the body;
    ///   `CancellationError`.
    func compressed(_ request: ServiceRequest) async throws -> ServiceRequest {
        guard !request.fields.contains(.contentEncoding) else {
            throw ServiceError(
                .invalidRequest, "options.compression would code a body that has a Content-Encoding field already"
            )
        }
        guard request.body.isReplayable else {
            throw ServiceError.oneShotBodyConsumed
        }
        try request.body.validate()
        var request = request
        request.body = try await compressed(request.body)
        request.fields[.contentLength] = nil
        request.fields[.contentEncoding] = "gzip"
        return request
    }

    /// Whether the body has bytes, or may have some.
    private static func hasContent(_ body: RequestBody) -> Bool {
        switch body.kind {
        case .none: false
        case .bytes(let bytes): bytes.readableBytes > 0
        case .factory, .emptyFile, .stream: body.length != 0
        }
    }

    private func compressed(_ body: RequestBody) async throws -> RequestBody {
        let chunks = GzippedChunks(body: body, replayLimit: replayLimit)
        var compressed: RequestBody =
            switch body.kind {
            case .none: body
            case .bytes(let bytes): .bytes(try await Self.compressed(bytes))
            case .factory, .emptyFile: .replayable { chunks }
            case .stream: .stream(chunks)
            }
        compressed.contentType = body.contentType
        return body.makeTrailers.map(compressed.trailers) ?? compressed
    }

    /// How many bytes are compressed before other tasks may run.
    private static let stride = 262_144

    private static func compressed(_ bytes: ByteBuffer) async throws -> ByteBuffer {
        let deflater = try Deflater()
        var rest = bytes
        var compressed = ByteBuffer()
        repeat {
            var part = rest.readSlice(length: min(stride, rest.readableBytes)) ?? ByteBuffer()
            let isLast = rest.readableBytes == 0
            while var chunk = try deflater.step(&part, isLast: isLast) { compressed.writeBuffer(&chunk) }
            if !isLast {
                try Task.checkCancellation()
                await Task.yield()
            }
        } while rest.readableBytes > 0
        return compressed
    }
}
