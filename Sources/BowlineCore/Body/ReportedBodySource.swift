internal import NIOCore
internal import Synchronization

/// A body that reports how many of its bytes have been read, after each chunk.
final class ReportedBodySource: ResponseBodySource {
    private let base: any ResponseBodySource
    private let report: @Sendable (TransferProgress) -> Void
    private let bytes = Atomic(0)

    init(_ base: any ResponseBodySource, report: @escaping @Sendable (TransferProgress) -> Void) {
        self.base = base
        self.report = report
    }

    func waitForNext() async throws -> ByteBuffer? {
        guard let chunk = try await base.next() else { return nil }
        let total = bytes.wrappingAdd(chunk.readableBytes, ordering: .relaxed).newValue
        report(TransferProgress(bytes: total, total: base.announcedLength))
        return chunk
    }

    var announcedLength: Int? { base.announcedLength }
    var trailers: ReceivedFields? { base.trailers }
    var attempt: ResponseAttempt? { base.attempt }
    func beginReading() throws { try base.beginReading() }
    func abandon() { base.abandon() }
    func observeEnd(_ observer: any ResponseBodyObserver) { base.observeEnd(observer) }
}

extension ResponseBody {
    /// Returns a body with the same bytes. It calls `report` in the reader's task after each chunk that is read.
    package func reporting(_ report: @escaping @Sendable (TransferProgress) -> Void) -> ResponseBody {
        guard let source else { return self }
        return ResponseBody(source: ReportedBodySource(source, report: report))
    }
}
