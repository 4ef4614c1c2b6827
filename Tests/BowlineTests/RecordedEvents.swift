import Bowline
import BowlineTesting

/// A listener that keeps its events as short texts.
final class RecordedEvents: ServiceEventListener {
    struct Entry: Sendable {
        let text: String
        let request: RequestEvent?
        let instant: MonotonicInstant
    }

    private let kept = Guarded<[Entry]>([])

    var entries: [Entry] { kept.withLock { $0 } }
    var texts: [String] { entries.map(\.text) }
    /// The events except those of connections.
    var requestTexts: [String] { entries.filter { $0.request != nil }.map(\.text) }

    func reset() { kept.withLock { $0 = [] } }

    /// Waits until an event of that name has happened.
    func wait(for text: String, file: String = #fileID, line: Int = #line) async throws {
        try await eventually(text, file: file, line: line) { self.texts.contains { $0.hasPrefix(text) } }
    }

    private func note(_ text: String, _ event: RequestEvent) {
        kept.withLock { $0.append(Entry(text: text, request: event, instant: event.instant)) }
    }

    private func note(_ text: String, _ event: ConnectionEvent) {
        kept.withLock { $0.append(Entry(text: "\(text) #\(event.connection)", request: nil, instant: event.instant)) }
    }

    func requestQueued(_ event: RequestEvent) { note("queued", event) }
    func requestDequeued(_ event: RequestEvent, waited: Duration) { note("dequeued", event) }
    func requestLeased(_ event: RequestEvent, isReused: Bool) { note(isReused ? "leased again" : "leased", event) }
    func requestHeadSent(_ event: RequestEvent) { note("head sent", event) }
    func requestBodySent(_ event: RequestEvent) { note("body sent", event) }
    func responseFirstByte(_ event: RequestEvent) { note("first byte", event) }
    func responseHead(_ event: RequestEvent, status: Int) { note("head \(status)", event) }
    func responseBodyEnd(_ event: RequestEvent) { note("body end", event) }
    func requestResending(_ event: RequestEvent) { note("resending", event) }

    func requestEnded(_ event: RequestEvent, _ ending: RequestEnding) {
        switch ending {
        case .failed(let error): note("failed \(error.code)", event)
        case .cancelled: note("cancelled", event)
        case .abandoned: note("abandoned", event)
        }
    }

    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {
        if case .giveUp(let reason) = decision.verdict {
            note("gives up: \(reason)", event)
        } else {
            note("retries", event)
        }
    }

    func connectionDialling(_ event: ConnectionEvent) { note("dialling", event) }
    func connectionResolved(_ event: ConnectionEvent) { note("resolved", event) }
    func connectionConnected(_ event: ConnectionEvent) { note("connected", event) }
    func connectionTunnelled(_ event: ConnectionEvent) { note("tunnelled", event) }
    func connectionSecured(_ event: ConnectionEvent) { note("secured", event) }
    func connectionEstablished(_ event: ConnectionEvent) { note("established", event) }
    func connectionFailed(_ event: ConnectionEvent, error: ServiceError) { note("failed \(error.code)", event) }
    func connectionReleased(_ event: ConnectionEvent) { note("released", event) }
    func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration) { note("closed \(reason)", event) }
}
