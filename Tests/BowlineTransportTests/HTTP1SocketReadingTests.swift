import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("Whether an HTTP/1.1 connection reads its socket")
struct HTTP1SocketReadingTests {
    enum Event: Sendable {
        case requested, paused, resumed
    }

    static let rows: [([Event], [String], Bool)] = [
        ([.requested, .requested], ["reads", "reads"], false),
        ([.resumed], ["nothing"], false),
        ([.paused, .requested], ["waits"], true),
        ([.paused, .resumed], ["goesOn"], false),
        ([.paused, .requested, .requested, .resumed], ["waits", "waits", "reads"], false),
        ([.paused, .requested, .resumed, .requested], ["waits", "reads", "reads"], false),
        // A read is owed once.
        ([.paused, .requested, .resumed, .paused, .resumed], ["waits", "reads", "goesOn"], false),
        ([.paused, .paused, .resumed, .resumed], ["goesOn", "nothing"], false),
    ]

    @Test("Each sequence of events leads where the table says", arguments: rows)
    func sequences(events: [Event], answers: [String], isPaused: Bool) {
        var reading = HTTP1SocketReading()
        var given: [String] = []
        for event in events {
            switch event {
            case .requested: given.append("\(reading.requested())")
            case .paused: reading.pause()
            case .resumed: given.append("\(reading.resume())")
            }
        }
        #expect(given == answers)
        #expect(reading.isPaused == isPaused)
    }

    @Test("The last read is the one that counts")
    func lastRead() {
        var reading = HTTP1SocketReading()
        reading.bytesRead(at: MonotonicInstant(nanoseconds: 5))
        reading.bytesRead(at: MonotonicInstant(nanoseconds: 9))
        #expect(reading.lastRead == MonotonicInstant(nanoseconds: 9))
    }
}
