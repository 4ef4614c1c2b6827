/// What a connection of a scenario speaks.
enum SilenceProtocol: String, Sendable, CaseIterable {
    case http1 = "HTTP/1.1"
    case http1TLS = "HTTP/1.1 TLS"
    case http2TLS = "HTTP/2 TLS"

    var isEncrypted: Bool { self != .http1 }
}

/// What the requests under way are doing when the path goes dark.
enum SilencePhase: String, Sendable, CaseIterable {
    /// The connections are unused; the requests come after.
    case idle
    /// The connections are being made: accepted, and not a byte comes.
    case dial
    /// The same, in the middle of the server's part of the TLS handshake.
    case handshake
    /// The response head is outstanding, over HTTP/1.1 after its first 20 bytes.
    case head
    /// A part of the response body has come.
    case body
    /// A part of the request body has been taken.
    case upload

    /// Whether connections are made while the path is dark, and none before.
    var isInDial: Bool { self == .dial || self == .handshake }
}

/// What of the path goes dark, and what of it comes back.
enum SilenceExtent: String, Sendable, CaseIterable {
    /// Every second connection, for good. In a dial: every second one that is made for a while.
    case half
    /// All open connections, for good; new ones work.
    case open
    /// All open connections for good, and new ones for a while; then new ones work.
    case path
    /// Everything for a while; then everything goes on, and what was held back arrives.
    case pause
}

/// One row of the table: a protocol, a phase and an extent.
struct SilenceScenario: Sendable, Hashable, CustomStringConvertible {
    let speaks: SilenceProtocol
    let phase: SilencePhase
    let extent: SilenceExtent

    var description: String { "\(speaks.rawValue), \(phase.rawValue), \(extent.rawValue)" }

    /// Whether the combination means anything.
    var isPossible: Bool {
        switch phase {
        case .dial: extent != .open
        // A fault at a byte of the handshake is not taken back.
        case .handshake: speaks.isEncrypted && (extent == .half || extent == .path)
        case .idle, .head, .body, .upload: true
        }
    }

    /// Whether new connections work from the moment on at which the path goes dark.
    var healsAtOnce: Bool { !phase.isInDial && (extent == .half || extent == .open) }

    /// How many callers there are of those that a run is given: an upload fills megabytes of buffers on its way.
    func workers(of all: Int) -> Int { phase == .upload ? max(2, all / 4) : all }

    /// How many calls a connection carries at once. Over HTTP/2 the server allows a quarter of the callers' calls, so that there
    /// are four connections.
    func callsPerConnection(workers: Int) -> Int { speaks == .http2TLS ? max(1, (workers + 3) / 4) : 1 }

    /// Every possible scenario, in the table's order.
    ///
    /// - Parameter isShort: Without those whose extent is `open` or `pause`.
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
