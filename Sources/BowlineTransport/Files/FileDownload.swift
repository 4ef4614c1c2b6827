package import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// Writes a body to a file, so that under the file's name there is the whole of it or what was there before.
///
/// The bytes go to a file beside it, `.name.….part`, which takes the name when the body has ended well and disappears when
/// it has not. It has the permissions of the file that it replaces; a symbolic link is replaced, not followed. Nothing is
/// forced to the disk: a power failure is not covered.
package struct FileDownload: Sendable {
    /// How much is gathered for one write.
    private static let batchSize = 262_144
    /// A chunk may hold on to more memory than it has bytes, so their number is bounded too.
    private static let batchCount = 16

    private let path: String
    private let partial: String

    /// Prepares to write to `path`; nothing is touched yet.
    package init(to path: String) {
        self.path = path
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let nameStart = slash.map { path.utf8.index(after: $0) } ?? path.startIndex
        // A name has at most 255 bytes: of a long one only the beginning is repeated.
        let beginning = String(decoding: path.utf8[nameStart...].prefix(200), as: UTF8.self)
        partial = "\(path[..<nameStart]).\(beginning).\(String(UInt64.random(in: 0 ... .max), radix: 36)).part"
    }

    /// Writes the chunks, the next only when the one before is written.
    ///
    /// - Returns: how many bytes were written.
    /// - Throws: ``ServiceError`` `fileFailed`; what reading `body` throws; `CancellationError`.
    package func write(_ body: ResponseBody) async throws -> Int {
        do {
            return try await writePartial(body)
        } catch {
            body.discard()
            await removePartial()
            if let failure = error as? FileFailure {
                throw failure.serviceError(progress: .responseStarted, phase: .receivingBody)
            }
            throw error
        }
    }

    private func writePartial(_ body: ResponseBody) async throws -> Int {
        let file = try await blocking { try make() }
        var batch: [ByteBuffer] = []
        var batchBytes = 0
        var total = 0
        for try await chunk in body {
            batch.append(chunk)
            batchBytes += chunk.readableBytes
            total += chunk.readableBytes
            guard batchBytes >= Self.batchSize || batch.count == Self.batchCount else { continue }
            let full = batch
            try await blocking { for buffer in full { try file.write(buffer) } }
            batch.removeAll(keepingCapacity: true)
            batchBytes = 0
        }
        let rest = batch
        try await blocking {
            for buffer in rest { try file.write(buffer) }
            try file.close()
            guard rename(partial, path) == 0 else { throw FileFailure("write", path) }
        }
        return total
    }

    private func make() throws -> FileDescriptor {
        guard !path.isEmpty else { throw FileFailure("write", path, number: ENOENT) }
        guard !path.utf8.contains(0) else { throw FileFailure("write", path, number: EINVAL) }
        var facts = stat()
        let isThere = stat(path, &facts) == 0
        if isThere, facts.st_mode & S_IFMT == S_IFDIR {
            throw FileFailure("write", path, number: EISDIR)
        }
        do {
            return try FileDescriptor(making: partial, permissions: isThere ? facts.st_mode & 0o777 : nil)
        } catch let failure as FileFailure {
            // The user knows the file by its own name.
            throw FileFailure("write", path, number: failure.number)
        }
    }

    /// In a task of its own: a cancelled one gets no thread.
    private func removePartial() async {
        let partial = partial
        _ = await Task {
            try? await NIOThreadPool.singleton.runIfActive { _ = unlink(partial) }
        }.value
    }

    private func blocking<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(work)
    }
}
