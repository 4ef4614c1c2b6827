internal import BowlineCore
public import NIOCore

extension LoopbackConnection {
    private static let headLimit = 1 << 20

    /// Reads a whole request: head, body and trailers.
    ///
    /// The request is recorded in ``LoopbackServer/requests`` when its head has been read. This method does not answer
    /// `Expect: 100-continue`. To answer it, use ``readRequestHead()``, ``sendContinue()`` and ``readBody(of:)``.
    ///
    /// - Returns: the request; nil if the client closed the connection instead of sending another request.
    /// - Throws: an error if the bytes are not a valid request, or the client ends the connection during the request;
    ///   `CancellationError` when the server stops.
    public func readRequest() async throws -> RecordedRequest? {
        guard let request = try await readRequestHead() else { return nil }
        return try await readBody(of: request)
    }

    /// Reads a request's head and leaves its body unread.
    ///
    /// - Returns: the request without its body; nil if the client closed the connection instead.
    /// - Throws: the errors of ``readRequest()``.
    public func readRequestHead() async throws -> RecordedRequest? {
        let bytes = try await take { inbound -> Taken<ByteBuffer>? in
            if let head = inbound.takeThrough("\r\n\r\n") { return .value(head) }
            guard inbound.buffer.readableBytes <= Self.headLimit else { return .tooLong }
            guard inbound.end == nil else { return inbound.buffer.readableBytes == 0 ? .nothing : .cutShort }
            return nil
        }
        guard let bytes else { return nil }
        let head = try RequestHead(bytes)
        let number = facts.withLock { facts in
            facts.requests += 1
            return facts.requests
        }
        return server.journal.began(head, on: self.number, number: number)
    }

    /// Reads the body and the trailers of a request whose head has been read.
    ///
    /// - Returns: the request with the first `recordedBodyLimit` bytes of its body.
    /// - Throws: the errors of ``readRequest()``.
    public func readBody(of request: RecordedRequest) async throws -> RecordedRequest {
        var request = request
        let limit = server.options.recordedBodyLimit
        do {
            switch request.framing {
            case .length(let length):
                try await receive(length, into: &request, keeping: limit)
            case .chunked:
                while let size = try await readChunkSize() {
                    try await receive(size, into: &request, keeping: limit)
                    guard try await readLine().readableBytes == 2 else {
                        throw MalformedRequest("a chunk's bytes are not followed by CRLF")
                    }
                }
                request.trailers = try await readTrailers()
            }
        } catch {
            server.journal.received(request)
            throw error
        }
        request.isComplete = true
        facts.withLock { $0.completeRequests += 1 }
        server.journal.received(request)
        return request
    }

    /// Reads the bytes that have been received, without parsing them.
    ///
    /// - Parameter atLeast: How many bytes to wait for, 1 or more.
    /// - Returns: all unread bytes. If the client has closed the connection, there may be fewer than `atLeast` bytes,
    ///   or none.
    /// - Throws: `CancellationError` when the server stops.
    public func read(atLeast: Int = 1) async throws -> ByteBuffer {
        let bytes = try await take { inbound -> Taken<ByteBuffer>? in
            guard inbound.buffer.readableBytes >= atLeast || inbound.end != nil else { return nil }
            return inbound.take(inbound.buffer.readableBytes).map { .value($0) } ?? .nothing
        }
        return bytes ?? ByteBuffer()
    }

    /// Stops reading the socket, so that back-pressure stops the client's writes.
    /// The kernel's buffers still fill: see `receiveBufferSize` of ``LoopbackServer/Options``. Reading begins again
    /// with ``resumeReading()``, or when the client closes the connection.
    public func pauseReading() async throws {
        inbound.withLock { $0.isPaused = true }
        try await channel.setOption(.autoRead, value: false).get()
    }

    /// Begins to read the socket again, after ``pauseReading()``.
    public func resumeReading() async throws {
        let isThrottled = inbound.withLock { inbound in
            inbound.isPaused = false
            return inbound.isThrottled
        }
        if !isThrottled { try await channel.setOption(.autoRead, value: true).get() }
    }

    private func receive(_ count: Int, into request: inout RecordedRequest, keeping limit: Int) async throws {
        var missing = count
        while missing > 0 {
            let most = missing
            guard
                let piece = try await take({ inbound -> Taken<ByteBuffer>? in
                    let available = min(most, inbound.buffer.readableBytes)
                    if available > 0 { return inbound.take(available).map { .value($0) } }
                    return inbound.end == nil ? nil : .cutShort
                })
            else { return }
            missing -= piece.readableBytes
            request.append(piece, keeping: limit)
        }
    }

    private func readChunkSize() async throws -> Int? {
        let line = try await readLine()
        let digits = line.readableBytesView.prefix { $0 != UInt8(ascii: ";") && $0 != 0x0D }
        guard !digits.isEmpty, digits.count <= 15, let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
            size >= 0, digits.first != UInt8(ascii: "+")
        else {
            throw MalformedRequest("a chunk's size is not a hexadecimal number")
        }
        return size == 0 ? nil : size
    }

    private func readTrailers() async throws -> HTTPFields? {
        var fields = HTTPFields()
        while true {
            let line = try await readLine()
            let content = try RequestHead.lines(of: line.readableBytesView)
            guard !content.isEmpty else { return fields.isEmpty ? nil : fields }
            fields.append(contentsOf: try RequestHead.fields(content))
        }
    }

    /// Reads a line with its CRLF.
    private func readLine() async throws -> ByteBuffer {
        let line = try await take { inbound -> Taken<ByteBuffer>? in
            if let line = inbound.takeThrough("\n") { return .value(line) }
            guard inbound.buffer.readableBytes <= Self.headLimit else { return .tooLong }
            return inbound.end == nil ? nil : .cutShort
        }
        guard let line, line.readableBytesView.suffix(2).elementsEqual([0x0D, 0x0A]) else {
            throw MalformedRequest("a line does not end with CRLF")
        }
        return line
    }

    /// The result of an attempt to take something from the unread bytes.
    enum Taken<Value: Sendable>: Sendable {
        case value(Value)
        case nothing
        case cutShort
        case tooLong
    }

    /// Waits until `attempt` takes something from the unread bytes. The socket is read meanwhile.
    func take<Value: Sendable>(
        _ attempt: @escaping @Sendable (inout Inbound) -> Taken<Value>?
    ) async throws -> Value? {
        let tracked: @Sendable (inout Inbound) -> Taken<Value>? = { inbound in
            let result = attempt(&inbound)
            inbound.isAwaited = result == nil
            return result
        }
        let (first, wasThrottled) = inbound.withLock { inbound in
            let first = tracked(&inbound)
            // If the waiting bytes were taken, or are not enough, there is room for more.
            let wasThrottled = inbound.isThrottled && (first == nil || inbound.buffer.readableBytes <= Inbound.limit)
            if wasThrottled { inbound.isThrottled = false }
            return (first, wasThrottled && !inbound.isPaused)
        }
        if wasThrottled { channel.setOption(.autoRead, value: true).whenFailure { _ in } }
        let taken: Taken<Value>
        if let first { taken = first } else { taken = try await inbound.wait(tracked) }
        switch taken {
        case .value(let value): return value
        case .nothing: return nil
        case .cutShort: throw ConnectionEnded()
        case .tooLong: throw MalformedRequest("a line or head is too long")
        }
    }
}
