/// The protocol of a scenario's connections.
enum SilenceProtocol: String, Sendable, CaseIterable {
    case http1 = "HTTP/1.1"
    case http1TLS = "HTTP/1.1 TLS"
    case http2TLS = "HTTP/2 TLS"

    var isEncrypted: Bool { self != .http1 }
}

/// The phase of the requests in flight when the path becomes silent.
enum SilencePhase: String, Sendable, CaseIterable {
    /// The connections are idle; the requests begin later.
    case idle
    /// The client dials: the connection is accepted, but no byte arrives.
    case dial
    /// The client dials, and the path becomes silent in the middle of the server's part of the TLS handshake.
    case handshake
    /// The client waits for the response head; over HTTP/1.1, it has received the first 20 bytes of it.
    case head
    /// A part of the response body has arrived.
    case body
    /// A part of the request body has been sent.
    case upload

    /// Whether the client makes all its connections while the path is silent.
    var isInDial: Bool { self == .dial || self == .handshake }
}

/// The part of the path that becomes silent, and the part of it that recovers.
enum SilenceExtent: String, Sendable, CaseIterable {
    /// Every second connection, permanently. In a dial phase: every second new connection during the silence.
    case half
    /// All open connections, permanently; new connections work.
    case open
    /// All open connections permanently, and new connections until the path recovers.
    case path
    /// All connections until the path recovers. Then they all continue, and the delayed bytes arrive.
    case pause
}

/// One row of the table: a protocol, a phase and an extent.
struct SilenceScenario: Sendable, Hashable, CustomStringConvertible {
    let speaks: SilenceProtocol
    let phase: SilencePhase
    let extent: SilenceExtent

    var description: String { "\(speaks.rawValue), \(phase.rawValue), \(extent.rawValue)" }

    /// Whether the scenario is possible: not every protocol has every phase, and not every phase every extent.
    var isPossible: Bool {
        switch phase {
        case .dial: extent != .open
        // The proxy cannot undo a fault at a byte of the handshake.
        case .handshake: speaks.isEncrypted && (extent == .half || extent == .path)
        case .idle, .head, .body, .upload: true
        }
    }

    /// Whether new connections work from the start of the silence.
    var healsAtOnce: Bool { !phase.isInDial && (extent == .half || extent == .open) }

    /// How many of the run's callers the scenario uses: fewer for an upload, because each upload fills megabytes of
    /// buffers.
    func workers(of all: Int) -> Int { phase == .upload ? max(2, all / 4) : all }

    /// How many calls a connection carries at once. Over HTTP/2 the server allows a quarter of the callers' calls, so
    /// that there are four connections.
    func callsPerConnection(workers: Int) -> Int { speaks == .http2TLS ? max(1, (workers + 3) / 4) : 1 }

    /// Every possible scenario, in the table's order.
    ///
    /// - Parameter isShort: Leaves out the extents `open` and `pause`.
    static func all(isShort: Bool) -> [SilenceScenario] {
        var scenarios: [SilenceScenario] = []
        for speaks in SilenceProtocol.allCases {
            for phase in SilencePhase.allCases {
                for extent in SilenceExtent.allCases where !isShort || extent == .half || extent == .path {
                    scenarios.append(SilenceScenario(speaks: speaks, phase: phase, extent: extent))
                }
            }
        }
        return scenarios.filter(\.isPossible)
    }
}
