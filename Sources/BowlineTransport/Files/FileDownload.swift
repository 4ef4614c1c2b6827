package import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// Writes a body to a file, so that under the file's name there is the whole of it or what was there before.
///
/// The bytes go to a file beside it, `.name.….part`, which takes the name when the body has ended well and disappears when
/// it has not. It has the permissions of the file that it replaces. A symbolic link is followed and stays. Nothing is forced
/// to the disk: a power failure is not covered.
///
/// A device or a pipe is never replaced: the bytes are written into it as they come (``FileTarget``).
package struct FileDownload: Sendable {
    /// How much is gathered for one write.
    private static let batchSize = 262_144
    /// A chunk may hold on to more memory than it has bytes, so their number is bounded too.
    private static let batchCount = 16

    private let path: String

    /// Prepares to write to `path`; nothing is touched yet.
    package init(to path: String) {
        self.path = path
    }

    /// Writes the chunks, the next only when the one before is written.
    ///
    /// - Returns: how many bytes were written.
    /// - Throws: ``ServiceError`` `fileFailed`; `invalidConfiguration` if SwiftNIO's singletons are switched off; what reading
    ///   `body` throws; `CancellationError`.
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

    /// Says what is lacking as a failure of a request whose response has begun.
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
                // Something else may have been put there meanwhile.
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
            // The user knows the file by its own name.
            throw FileFailure("write", path, number: failure.number)
        }
    }

    /// Writes into what is there. A pipe's reader may take its time: no thread waits for it longer than a moment, so that a
    /// cancellation is noticed.
    private func write(_ body: ResponseBody, truncating truncates: Bool) async throws -> Int {
        let file = try await blocking { [path] in try FileDescriptor(writingInto: path) }
        var total = 0
        var isFresh = truncates
        for try await chunk in body {
            // Not before: a body that fails without a byte leaves what is there.
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

    /// Hands the chunks on in batches.
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

    /// In a task of its own: a cancelled one gets no thread.
    private func remove(_ partial: String) async {
        _ = await Task {
            try? await SingletonLoops.threads().runIfActive { _ = unlink(partial) }
        }.value
    }

    private func blocking<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await SingletonLoops.threads().runIfActive(work)
    }
}
