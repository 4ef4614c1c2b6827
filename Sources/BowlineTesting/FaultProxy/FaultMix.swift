internal import BowlineCore

/// How often the random scripts of ``FaultPlan/seeded(_:mix:)`` have each fault, and how large the faults are.
///
/// Values out of range are clamped to the nearest valid value.
public struct FaultMix: Sendable, Hashable {
    /// The faults that can be drawn.
    public enum Fault: Sendable, Hashable, CaseIterable {
        /// The proxy accepts the connection and ends it at once, with FIN or RST.
        case refuse
        /// The proxy accepts the connection, and no bytes pass.
        case silentOpening
        /// The proxy dials the server later.
        case delay
        /// The proxy ends both sockets, with FIN or RST.
        case cut
        /// The proxy ends one direction.
        case halfClose
        /// No bytes pass in one direction for a while.
        case pause
        /// No more bytes pass, in one direction or in both.
        case silence
        /// Bytes are lost. TCP prevents this; a broken relay may do it.
        case swallow
        /// Bytes are sent twice. TCP prevents this; a broken relay may do it.
        case duplicate
        /// Bytes are changed. TCP detects nearly all such changes; a broken relay may make them.
        case corrupt
    }

    /// The fraction of connections with a fault, from 0 to 1. Default 0.3.
    public var faulty = 0.3
    /// How often each fault is drawn, relative to the others. A fault that is not listed is never drawn.
    ///
    /// By default all faults except `swallow`, `duplicate` and `corrupt`: a POST request with duplicated bytes is
    /// executed twice, and no client can prevent that.
    public var weights: [Fault: Double] = [
        .refuse: 1, .silentOpening: 0.5, .delay: 1, .cut: 6, .halfClose: 2, .pause: 3, .silence: 1,
    ]
    /// How many faults a faulty connection has, from 1 to 64. Default 1 to 2.
    public var faults = 1...2
    /// The fraction of connections with slow lanes, from 0 to 1. A slow lane may have latency, slices and a limited
    /// rate. Default 0.2.
    public var slow = 0.2
    /// How many bytes pass before a fault happens, from 0. Small numbers are drawn more often. Default 0 to 16,384.
    public var offsets = 0...16_384
    /// How many bytes are swallowed, duplicated or corrupted, from 1. Default 1 to 64.
    public var counts = 1...64
    /// The duration of a pause, or of the delay of a dial, from 0. Default 1 to 100 ms.
    public var delays: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(100)
    /// The latency, and the jitter, of a slow lane, from 0. Default 0 to 10 ms.
    public var latencies: ClosedRange<Duration> = .zero ... .milliseconds(10)
    /// The number of bytes in a slice of a slow lane, from 1. Default 1 to 1,024.
    public var slices = 1...1024
    /// The pause after each slice of a slow lane, from 0: a trickle. Half of the lanes with slices have such pauses.
    /// Default 0 to 0.5 ms.
    public var gaps: ClosedRange<Duration> = .zero ... .microseconds(500)
    /// The number of bytes that a slow lane passes in a second, from 1. Default 50,000 to 5,000,000.
    public var rates = 50_000...5_000_000

    /// Makes the standard mix.
    public init() {}

    /// The faults of networks and relays that obey TCP: all except `swallow`, `duplicate` and `corrupt`.
    public static let standard = FaultMix()

    /// Every fault, with equal weights, on every connection.
    public static let everything: FaultMix = {
        var mix = FaultMix()
        mix.faulty = 1
        mix.weights = Dictionary(uniqueKeysWithValues: Fault.allCases.map { ($0, 1.0) })
        return mix
    }()

    /// Draws the script of one connection.
    public func script(from random: inout SeededRandom) -> FaultScript {
        var script = FaultScript()
        if random.nextBool(probability: slow) { slowDown(&script, &random) }
        guard random.nextBool(probability: faulty) else { return script }
        for _ in 0..<min(max(1, random.next(faults)), 64) {
            guard let fault = drawFault(&random) else { break }
            add(fault, to: &script, &random)
        }
        return script
    }

    private func drawFault(_ random: inout SeededRandom) -> Fault? {
        // Use the order of the declaration: the order of a dictionary differs from run to run.
        let usable = Fault.allCases.map { ($0, weights[$0] ?? 0) }.filter { $0.1 > 0 && $0.1.isFinite }
        var left = random.nextDouble() * usable.reduce(0) { $0 + $1.1 }
        for (fault, weight) in usable {
            left -= weight
            if left < 0 { return fault }
        }
        return usable.last?.0
    }

    private func add(_ fault: Fault, to script: inout FaultScript, _ random: inout SeededRandom) {
        let direction: FaultDirection = random.nextBool() ? .toServer : .toClient
        let cut: FaultCut = random.nextBool() ? .fin : .reset
        let kind: FaultEvent.Kind
        switch fault {
        case .refuse:
            script.opening = .refuse(cut)
            return
        case .silentOpening:
            script.opening = .silence
            return
        case .delay:
            script.opening = .delay(random.next(delays))
            return
        case .cut: kind = .cut(cut)
        case .halfClose: kind = .halfClose
        case .pause: kind = .pause(random.next(delays))
        case .silence: kind = random.nextBool() ? .silence : .silenceBoth
        case .swallow: kind = .swallow(max(1, random.next(counts)))
        case .duplicate: kind = .duplicate(max(1, random.next(counts)))
        case .corrupt: kind = .corrupt(max(1, random.next(counts)))
        }
        script[direction].events.append(FaultEvent(at: offset(&random), kind))
    }

    private func slowDown(_ script: inout FaultScript, _ random: inout SeededRandom) {
        for direction in FaultDirection.allCases {
            var lane = FaultLane()
            if random.nextBool() {
                lane.latency = random.next(latencies)
                lane.jitter = random.next(latencies)
            }
            if random.nextBool() {
                lane.sliceBytes = max(1, random.next(slices))
                if random.nextBool() { lane.sliceGap = random.next(gaps) }
            }
            if random.nextBool() { lane.bytesPerSecond = max(1, random.next(rates)) }
            script[direction] = lane
        }
    }

    /// Draws an offset: one in three from the whole range, one from its first eighth, and one from its first 64th.
    private func offset(_ random: inout SeededRandom) -> Int {
        let lower = max(0, offsets.lowerBound)
        let upper = max(lower, offsets.upperBound)
        let shift = random.next(0...2) * 3
        return random.next(lower...(lower + (upper - lower) >> shift))
    }
}

extension SeededRandom {
    fileprivate mutating func next(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &self)
    }

    fileprivate mutating func next(_ range: ClosedRange<Duration>) -> Duration {
        let lower = max(0, range.lowerBound.saturatingNanoseconds)
        let upper = max(lower, range.upperBound.saturatingNanoseconds)
        return .nanoseconds(Int64.random(in: lower...upper, using: &self))
    }
}
