import BowlineCore
import BowlineTesting
import Dispatch
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("System roots on a disk that does not respond", .timeLimit(.minutes(1)))
struct HangingRootsTests {
    enum End: CaseIterable, Sendable {
        case cancelled, timedOut
    }

    /// Refers to a dial without keeping it.
    // Safety: written before it is shared.
    private final class WeakDial: @unchecked Sendable {
        weak var dial: Dial?
    }

    @Test(
        "A dial that ends while it waits for the roots is released, and a close does not wait", arguments: End.allCases)
    func released(end: End) async throws {
        let mayLoad = DispatchSemaphore(value: 0)
        let hasBegun = Gate()
        defer { mayLoad.signal() }
        var options = TransportOptions()
        options.willLoadRoots = {
            hasBegun.open()
            mayLoad.wait()
        }
        // The other one ends when it is cancelled.
        options.connectTimeout = end == .timedOut ? .milliseconds(1) : nil
        let transport = try PooledTransport(options: options)
        let environment = transport.environment
        let origin = try ServiceURL("https://localhost:1").origin
        let (results, log) = AsyncStream<String>.makeStream()
        let weakDial = Self.begin(
            Dial(
                DialPlan(Route(origin), environment: environment), environment: environment,
                sweep: environment.loops.sweep(affinity: 0), events: nil
            ) { result in
                switch result {
                case .success: log.yield("success")
                case .failure(let failure): log.yield("\(failure.cause)")
                }
            })
        try await hasBegun.wait()
        if end == .cancelled { weakDial.dial?.cancel() }
        var iterator = results.makeAsyncIterator()
        #expect(await iterator.next() == (end == .cancelled ? "cancelled" : "timedOut"))
        try await eventually("the dial is released") { weakDial.dial == nil }
        await transport.close()
    }

    private static func begin(_ dial: Dial) -> WeakDial {
        let weakDial = WeakDial()
        weakDial.dial = dial
        dial.start()
        return weakDial
    }
}
