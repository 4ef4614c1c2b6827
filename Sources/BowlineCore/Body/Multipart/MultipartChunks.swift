import NIOCore

/// The bytes of a form, part after part. Each iterator reads the bodies of the parts from their beginning.
struct MultipartChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let sections: [MultipartSection]
    private let closing: ByteBuffer
    /// The bytes after each part's content, before the next delimiter.
    private static let separator = ByteBuffer(string: "\r\n")

    init(sections: [MultipartSection], boundary: String) {
        self.sections = sections
        closing = ByteBuffer(string: "--\(boundary)--\r\n")
    }

    /// The length of the whole form; nil: the length of a part is unknown.
    var length: Int? {
        var sum = closing.readableBytes
        for section in sections {
            guard let length = section.body.length, length >= 0 else { return nil }
            let (next, overflowed) = sum.addingReportingOverflow(
                section.head.readableBytes + Self.separator.readableBytes)
            let (total, overflowedAgain) = next.addingReportingOverflow(length)
            guard !overflowed, !overflowedAgain else { return nil }
            sum = total
        }
        return sum
    }

    func makeAsyncIterator() -> Iterator { Iterator(chunks: self) }

    /// The position of one reader in the form.
    struct Iterator: AsyncIteratorProtocol {
        private enum Place {
            case before(Int)
            case inside(Int, RequestBodyReader, sent: Int)
            case ended
        }

        private let chunks: MultipartChunks
        private var place = Place.before(0)

        init(chunks: MultipartChunks) {
            self.chunks = chunks
        }

        mutating func next() async throws -> ByteBuffer? {
            switch place {
            case .ended:
                return nil
            case .before(let index) where index == chunks.sections.count:
                place = .ended
                return chunks.closing
            case .before(let index):
                let section = chunks.sections[index]
                // The part keeps no bytes for replay, because the body of the form keeps them.
                let reader = try await section.body.makeReader(replayLimit: 0)
                place = .inside(index, reader, sent: 0)
                return section.head
            case .inside(let index, var reader, let sent):
                let chunk = try await read(&reader, of: chunks.sections[index].body)
                let total = sent + (chunk?.readableBytes ?? 0)
                try checkLength(total, of: index, isOver: chunk == nil)
                place = chunk == nil ? .before(index + 1) : .inside(index, reader, sent: total)
                return chunk ?? MultipartChunks.separator
            }
        }

        /// Reads a chunk. If the task is cancelled, abandons the part's body, because the body's own task may be
        /// reading it.
        private func read(_ reader: inout RequestBodyReader, of body: RequestBody) async throws -> ByteBuffer? {
            var current = reader
            let chunk = try await withTaskCancellationHandler {
                try await current.next()
            } onCancel: {
                body.abandon()
            }
            reader = current
            return chunk
        }

        /// Throws if a part is longer or shorter than its declared length. The bytes after the part would then be at
        /// wrong positions.
        private func checkLength(_ sent: Int, of index: Int, isOver: Bool) throws {
            guard let declared = chunks.sections[index].body.length else { return }
            guard sent > declared || (isOver && sent < declared) else { return }
            throw RequestBodyFailure(
                ServiceError(
                    .requestBodyLengthMismatch,
                    "form part \(index + 1) is \(sent > declared ? "longer" : "shorter") than its declared length of "
                        + "\(declared) bytes"
                )
            )
        }
    }
}
