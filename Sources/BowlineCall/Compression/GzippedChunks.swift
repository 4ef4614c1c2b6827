internal import BowlineCore

/// The chunks of a request body, compressed while they are read. Each reader has a compressor of its own.
struct GzippedChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let body: RequestBody
    let replayLimit: Int

    func makeAsyncIterator() -> Iterator { Iterator(body: body, replayLimit: replayLimit) }

    struct Iterator: AsyncIteratorProtocol {
        private struct Progress {
            var reader: RequestBodyReader
            let deflater: Deflater
            var input = ByteBuffer()
            var isLast = false
            var taken = 0
        }

        private let body: RequestBody
        private let replayLimit: Int
        private var progress: Progress?
        private var isOver = false

        init(body: RequestBody, replayLimit: Int) {
            self.body = body
            self.replayLimit = replayLimit
        }

        mutating func next() async throws -> ByteBuffer? {
            guard !isOver else { return nil }
            do {
                if let chunk = try await nextChunk() { return chunk }
            } catch {
                isOver = true
                // No reader needs the body any more, so the sequence of a one-shot body is released.
                body.abandon()
                throw error
            }
            isOver = true
            return nil
        }

        private mutating func nextChunk() async throws -> ByteBuffer? {
            var progress: Progress
            if let begun = self.progress {
                progress = begun
            } else {
                progress = Progress(
                    reader: try await body.makeReader(replayLimit: replayLimit), deflater: try Deflater()
                )
            }
            self.progress = nil
            while true {
                if let chunk = try progress.deflater.step(&progress.input, isLast: progress.isLast) {
                    self.progress = progress
                    return chunk
                }
                guard !progress.isLast else { return nil }
                if let plain = try await progress.reader.next() {
                    progress.input = plain
                    progress.taken += plain.readableBytes
                } else {
                    progress.isLast = true
                }
                try checkLength(progress)
            }
        }

        /// Compares the plain body's length with the declared length, and throws if they differ. The compressed body
        /// has no declared length.
        private func checkLength(_ progress: Progress) throws {
            guard let declared = body.length else { return }
            guard progress.taken > declared || (progress.isLast && progress.taken < declared) else { return }
            throw RequestBodyFailure(
                ServiceError(
                    .requestBodyLengthMismatch,
                    "the request body is \(progress.taken > declared ? "longer" : "shorter") than its declared length "
                        + "of \(declared) bytes"
                )
            )
        }
    }
}
