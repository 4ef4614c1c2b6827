internal import Bowline
internal import BowlinePlatform
internal import NIOCore

/// The chunks of a body as a sequence, with a pause before each chunk if the plan says so.
struct LedgerChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let body: ByteBuffer
    let size: Int
    /// The pause before each chunk.
    let pause: Duration

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ByteBuffer
        let size: Int
        let pause: Duration

        mutating func next() async throws -> ByteBuffer? {
            guard rest.readableBytes > 0 else { return nil }
            if pause > .zero { try await Task.sleep(for: pause) }
            return rest.readSlice(length: Swift.min(size, rest.readableBytes))
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(rest: body, size: Swift.max(1, size), pause: pause)
    }
}

/// A temporary file with one request's body.
struct LedgerFile: Sendable {
    let path: String

    /// Writes the file.
    ///
    /// - Throws: ``NotWritten`` if the system does not allow it.
    init(_ body: ByteBuffer) throws {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(folder)/bowline-ledger-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw NotWritten(path: folder) }
        defer { close(descriptor) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let isWhole = body.withUnsafeReadableBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                guard count > 0 else { return false }
                written += count
            }
            return true
        }
        guard isWhole else {
            remove()
            throw NotWritten(path: path)
        }
    }

    /// Removes the file.
    func remove() {
        _ = unlink(path)
    }

    /// The file could not be written.
    struct NotWritten: Error {
        let path: String
    }
}
