internal import BowlinePlatform
public import NIOCore

/// How a client ended a connection, and the bytes that it had sent before.
public struct ObservedClose: Sendable {
    /// How the connection ended.
    public let end: ConnectionEnd
    /// The unread bytes that were received before the end, up to 64 KiB.
    public let bytes: ByteBuffer
    /// How many unread bytes were received in all.
    public let byteCount: Int
}

extension LoopbackConnection {
    /// Waits until the client ends the connection or the server stops. Sends nothing.
    public func stall() async throws {
        try await inbound.wait { $0.end == nil ? nil : () }
    }

    /// Closes the connection in order: close_notify if it is encrypted, then FIN.
    ///
    /// If bytes from the client are unread, the kernel sends a reset instead of FIN, as for every server.
    public func closeNow() async throws {
        ended(.serverClosed)
        try? await channel.close().get()
    }

    /// Closes an encrypted connection with FIN but without close_notify, as an attacker would who cuts the connection.
    public func closeWithoutNotify() async throws {
        ended(.serverClosed)
        try await atEdge { $0.close() }
        try? await channel.closeFuture.get()
    }

    /// Ends our direction (FIN) and continues to read.
    ///
    /// - Throws: an error if the connection has ended.
    public func halfClose() async throws {
        facts.withLock { $0.isHalfClosed = true }
        do {
            try await channel.close(mode: .output).get()
        } catch {
            throw ConnectionEnded()
        }
    }

    /// Resets the connection (RST). Bytes under way in either direction are lost. On a Unix domain socket, closes it.
    public func reset() async throws {
        // Set the socket's option before the record: a script that sees the record ends, and its own close must be a
        // reset too.
        if let provider = channel as? any SocketOptionProvider, channel.remoteAddress?.port != nil {
            try? await provider.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        ended(.serverClosed)
        try await closeWithoutNotify()
    }

    /// Waits until the client ends the connection. Reads the client's bytes meanwhile.
    ///
    /// After ``closeNow()`` or ``reset()`` it returns at once with `.serverClosed`. After ``halfClose()`` it shows how
    /// the client reacts.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the server stops.
    @discardableResult
    public func waitForClose(
        timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws -> ObservedClose {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let collected = Waitable((kept: ByteBuffer(), count: 0))
            group.addTask {
                while let piece = try await self.takePiece() {
                    collected.withLock { collected in
                        collected.count += piece.readableBytes
                        var kept = piece
                        let room = max(0, 65536 - collected.kept.readableBytes)
                        if var slice = kept.readSlice(length: min(room, kept.readableBytes)) {
                            collected.kept.writeBuffer(&slice)
                        }
                    }
                }
            }
            group.addTask { [inbound] in
                try await inbound.wait(
                    for: "the client to end connection \(self.number)", within: timeout,
                    at: CallSite(file: file, line: line), found: { _ in "it open" }, until: { $0.end != nil }
                )
            }
            // After the first failure, `next` throws and the group cancels the other task. `waitForAll` would first
            // wait for the other task.
            while try await group.next() != nil {}
            let end = inbound.withLock { $0.end } ?? .serverClosed
            let (kept, count) = collected.withLock { $0 }
            return ObservedClose(end: end, bytes: kept, byteCount: count)
        }
    }

    private func takePiece() async throws -> ByteBuffer? {
        try await take { inbound -> Taken<ByteBuffer>? in
            if let piece = inbound.buffer.readableBytes > 0 ? inbound.take(inbound.buffer.readableBytes) : nil {
                return .value(piece)
            }
            return inbound.end == nil ? nil : .nothing
        }
    }

    private func atEdge(_ body: @escaping @Sendable (SocketEdge) -> Void) async throws {
        let channel = channel
        try? await channel.eventLoop.submit {
            body(try channel.pipeline.syncOperations.handler(type: SocketEdge.self))
        }.get()
    }
}
