internal import Bowline

/// The size, and perhaps the digest, of the part of a response body that has been read.
struct BodyTally {
    var bytes = 0
    /// nil: the body is not hashed.
    var digest: SHA256?
}

/// Reads response bodies as the command line says: into a file, within a limit, hashed, or not at all.
struct BodyConsumer: Sendable {
    let plan: OutputPlan
    let file: OutputFile?
    let console: Console

    /// Reads the body to its end. If reading fails, `tally` describes the bytes that were read before.
    func consume(_ body: ResponseBody, into tally: inout BodyTally) async throws {
        // To drop a body, release it without reading it. That happens when the response goes out of scope.
        if plan.dropsBodies { return }
        console.announce(bytes: body.announcedLength)
        try file?.beginBody()
        if let limit = plan.maximumBody, file == nil {
            take(try await body.collect(upTo: limit), into: &tally)
            return
        }
        var iterator = body.makeAsyncIterator()
        while let chunk = try await iterator.next() {
            if let limit = plan.maximumBody, tally.bytes + chunk.readableBytes > limit {
                body.discard()
                throw ServiceError(
                    .bodyTooLarge, "the response body is larger than \(limit) bytes", progress: .responseStarted,
                    phase: .receivingBody
                )
            }
            take(chunk, into: &tally)
            if let file { try chunk.withUnsafeReadableBytes(file.write) }
        }
    }

    private func take(_ chunk: ByteBuffer, into tally: inout BodyTally) {
        tally.bytes += chunk.readableBytes
        if tally.digest != nil { chunk.withUnsafeReadableBytes { tally.digest?.update($0) } }
        console.advance(bytes: chunk.readableBytes)
    }
}
