import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("Listeners that cancel a request while HTTP/1.1 sends it", .timeLimit(.minutes(1)))
struct HTTP1ListenerTests {
    enum Moment {
        case headSent, bodySent
    }

    enum Body {
        /// The body goes out with the head.
        case inline
        case streamed
        /// The body waits for a 100 (Continue).
        case expecting

        var request: ServiceRequest {
            var request = ServiceRequest.post(
                "http://a.example/",
                body: self == .inline ? .text("rope") : .bytes(ByteBuffer(repeating: 0x61, count: 100_000)))
            if self == .expecting { request.options.continueTimeout = .seconds(1) }
            return request
        }
    }

    /// Notes what happens to a request, and cancels it at one moment, on the event loop.
    private final class CancellingListener: ServiceEventListener {
        private let moment: Moment
        private let task = Guarded<Task<ServiceResponse, any Error>?>(nil)
        private let log = Guarded<[String]>([])

        init(at moment: Moment) { self.moment = moment }

        var notes: [String] { log.withLock { $0 } }

        func cancels(_ task: Task<ServiceResponse, any Error>) { self.task.withLock { $0 = task } }
        func note(_ entry: String) { log.withLock { $0.append(entry) } }

        func requestHeadSent(_ event: RequestEvent) { happened(.headSent) }
        func requestBodySent(_ event: RequestEvent) { happened(.bodySent) }

        private func happened(_ moment: Moment) {
            note("\(moment)")
            if moment == self.moment { task.withLock { $0 }?.cancel() }
        }
    }

    // The peer sends nothing, so a body that waits for a 100 response is never sent.
    private static let cases: [(Moment, Body)] = [
        (.headSent, .inline), (.headSent, .streamed), (.headSent, .expecting), (.bodySent, .inline),
        (.bodySent, .streamed),
    ]

    @Test(
        "After a listener has cancelled the request, no event follows and the request enters no phase", arguments: cases
    )
    func nothingFollows(moment: Moment, body: Body) async throws {
        let channel = NIOAsyncTestingChannel()
        let (clock, owner, listener) = (TestClock(), RecordingOwner(), CancellingListener(at: moment))
        let connection = try await makeHTTP1Connection(
            on: channel, sweep: DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: clock)),
            originLink: OriginLink(options: ConnectionOptions(), owner: owner))
        var request = body.request
        request.options.onUploadProgress = { _ in listener.note("progress") }
        let context = RequestContext(timeouts: Timeouts())
        let exchange = Exchange(
            request: try PreparedRequest(request, context: context, started: clock.now, isPooled: true),
            connection: connection,
            lease: Exchange.LeaseFacts(isReused: true, uses: 2, wasIdle: true, leased: clock.now), resends: 0,
            options: ConnectionOptions(), events: EventDispatch([listener], clock: clock))

        let started = Gate()
        let task = Task {
            try? await started.wait()
            return try await exchange.run()
        }
        listener.cancels(task)
        started.open()
        await #expect(throws: CancellationError.self) { try await task.value }
        // The event that cancelled it runs on the loop: this comes behind it.
        let deadlines = try await channel.eventLoop.submit { connection.deadlines }.get()

        switch (moment, body) {
        case (.headSent, _): #expect(listener.notes == ["headSent"])
        case (.bodySent, .inline): #expect(listener.notes == ["headSent", "progress", "bodySent"])
        case (.bodySent, _):
            #expect(listener.notes.first == "headSent")
            #expect(listener.notes.last == "bodySent")
            #expect(listener.notes.contains("progress"))
        }
        #expect(context.call.phase == .sending)
        #expect(deadlines.phase == .none)
        #expect(deadlines.phaseInstant == .distantFuture)
        #expect(owner.notes == ["closed cancelled"])
        _ = try? await channel.finish()
    }
}
