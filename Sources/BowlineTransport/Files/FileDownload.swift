package import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// Writes a body to a file. Afterwards the file contains the whole body or is unchanged.
///
/// The bytes go to a partial file in the same folder, `.name.….part`. When the body is complete, the partial file takes
/// the final name. If the body fails, the partial file is removed. The new file has the permissions of the file that it
/// replaces. A symbolic link is followed and stays. Nothing is flushed to the disk, so a power failure may lose the
/// file.
///
/// A device or a pipe is never replaced: the bytes are written into it as they arrive (``FileTarget``).
package struct FileDownload: Sendable {
    /// How many bytes are collected for one write.
    private static let batchSize = 262_144
    /// A chunk may keep more memory than it has bytes, so the number of chunks is limited too.
    private static let batchCount = 16

    private let path: String

    /// Prepares to write to `path`. Does not touch any file.
    package init(to path: String) {
        self.path = path
    }

    /// Writes the chunks. Requests the next chunk only after the previous one is written.
    ///
    /// - Returns: How many bytes were written.
    /// - Throws: ``ServiceError`` `fileFailed`; `invalidConfiguration` if the program has disabled SwiftNIO's
    ///   singletons; any error that reading `body` throws; `CancellationError`.
    package func write(_ body: ResponseBody) async throws -> Int {
        do {
            try Self.requireThreads()
            switch try await blocking({ [path] in try FileTarget(path) }) {
            case .replaced(let target, let partial, let permissions):
                return try await replace(target, by: partial, permissions, with: body)
            case .writtenInto(let truncates):
                return try await write(body, truncating: truncates)
            }
        } catch {
            body.discard()
            if let failure = error as? FileFailure {
                throw failure.serviceError(progress: .responseStarted, phase: .receivingBody)
            }
            throw error
        }
    }

    /// Checks that there are threads for files. Throws the error of a request whose response has begun.
    private static func requireThreads() throws {
        do {
            _ = try SingletonLoops.threads()
        } catch var error as ServiceError {
            error.progress = .responseStarted
            throw error
        }
    }

    private func replace(
        _ target: String, by partial: String, _ permissions: mode_t?, with body: ResponseBody
    ) async throws -> Int {
        let path = path
        do {
            let file = try await blocking { try Self.make(partial, permissions, for: path) }
            let total = try await write(body) { try file.write($0) }
            try await blocking {
                try file.close()
                // Another kind of file may have been put there meanwhile.
                guard FileTarget.isReplaceable(target) else { throw FileFailure("write", path, number: EEXIST) }
                guard rename(partial, target) == 0 else { throw FileFailure("write", path) }
            }
            return total
        } catch {
            await remove(partial)
            throw error
        }
    }

    private static func make(_ partial: String, _ permissions: mode_t?, for path: String) throws -> FileDescriptor {
        do {
            return try FileDescriptor(making: partial, permissions: permissions)
        } catch let failure as FileFailure {
            // The error names the user's file, not the partial file.
            throw FileFailure("write", path, number: failure.number)
        }
    }

    /// Writes into the existing file. A pipe's reader may be slow: a thread waits for it only for a moment at a time,
    /// so that a cancellation is noticed.
    private func write(_ body: ResponseBody, truncating truncates: Bool) async throws -> Int {
        let file = try await blocking { [path] in try FileDescriptor(writingInto: path) }
        var total = 0
        var isFresh = truncates
        for try await chunk in body {
            // Truncates here and not earlier: if a body fails before its first byte, the file's contents stay
            // unchanged.
            if isFresh { try await blocking { try file.truncate() } }
            isFresh = false
            total += chunk.readableBytes
            var rest = chunk
            while rest.readableBytes > 0 {
                let piece = rest
                let count = try await blocking { try file.writeSome(piece) }
                rest.moveReaderIndex(forwardBy: count)
            }
        }
        if isFresh { try await blocking { try file.truncate() } }
        try await blocking { try file.close() }
        return total
    }

    /// Passes the chunks to `write` in batches.
    private func write(
        _ body: ResponseBody, _ write: @escaping @Sendable (ByteBuffer) throws -> Void
    ) async throws -> Int {
        var batch = ChunkQueue()
        var total = 0
        for try await chunk in body {
            batch.append(chunk)
            total += chunk.readableBytes
            guard batch.byteCount >= Self.batchSize || batch.count == Self.batchCount else { continue }
            try await self.write(batch, write)
            batch = ChunkQueue()
        }
        try await self.write(batch, write)
        return total
    }

    private func write(
        _ batch: ChunkQueue, _ write: @escaping @Sendable (ByteBuffer) throws -> Void
    ) async throws {
        try await blocking {
            var rest = batch
            while let chunk = rest.popFirst() { try write(chunk) }
        }
    }

    /// Removes the partial file. Uses a task of its own, because a cancelled task gets no thread.
    private func remove(_ partial: String) async {
        _ = await Task {
            try? await SingletonLoops.threads().runIfActive { _ = unlink(partial) }
        }.value
    }

    private func blocking<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await SingletonLoops.threads().runIfActive(work)
    }
}
