import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Listeners that cancel their own request", .timeLimit(.minutes(1)))
struct CancellingListenerTests {
    /// Runs its action at the event, the first time only.
    private final class Trigger: ServiceEventListener {
        enum Moment: CaseIterable {
            case leased, headSent, bodySent, firstByte, head, bodyEnd
        }

        private let moment: Moment
        private let action = Guarded<(@Sendable () -> Void)?>(nil)

        init(_ moment: Moment) { self.moment = moment }

        func arm(_ action: @escaping @Sendable () -> Void) { self.action.withLock { $0 = action } }

        private func happened(_ moment: Moment) {
            guard moment == self.moment else { return }
            let action = action.withLock { action in
                defer { action = nil }
                return action
            }
            action?()
        }

        func requestLeased(_ event: RequestEvent, isReused: Bool) { happened(.leased) }
        func requestHeadSent(_ event: RequestEvent) { happened(.headSent) }
        func requestBodySent(_ event: RequestEvent) { happened(.bodySent) }
        func responseFirstByte(_ event: RequestEvent) { happened(.firstByte) }
        func responseHead(_ event: RequestEvent, status: Int) { happened(.head) }
        func responseBodyEnd(_ event: RequestEvent) { happened(.bodyEnd) }
    }

    @Test(
        "Cancelling in any event ends the request, traps nowhere and leaves no place taken", .tags(.CA1),
        arguments: Trigger.Moment.allCases, [true, false])
    private func cancelling(at moment: Trigger.Moment, isHTTP2: Bool) async throws {
        try await withLoopbackServer(isHTTP2 ? .http2 : LoopbackServer.Options()) { server in
            server.respond { _ in .reply(200, body: "rope") }
            let trigger = Trigger(moment)
            let sent = SentFields()
            try await withServiceClient(server.baseURL) {
                $0.http2.negotiation = isHTTP2 ? .http2Only : .http1Only
                $0.telemetry.events = [trigger]
                $0.retry.maximumAttempts = 1
                $0.middleware.perAttempt = [sent]
            } _: { client in
                _ = try await client.fetch("/warm")
                for body in [RequestBody.none, .text("rope"), .text(String(repeating: "rope", count: 50_000))] {
                    let started = Gate()
                    let task = Task {
                        try await started.wait()
                        return try await client.fetch(.post("/", body: body)).text
                    }
                    trigger.arm { task.cancel() }
                    started.open()
                    // The request may have been answered at the same moment.
                    switch await task.result {
                    case .success(let text):
                        #expect(text == "rope")
                        #expect(moment == .bodyEnd)
                    case .failure(let error): #expect(error is CancellationError)
                    }
                }
                for _ in 0..<3 { #expect(try await client.fetch("/after").text == "rope") }
                try await eventually("nothing is in use") {
                    client.pool.snapshot().active == 0 && client.pool.snapshot().streams == 0
                }
            }
            await sent.compare(with: server.requests)
        }
    }
}
