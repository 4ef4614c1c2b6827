/// The delays, limits and faults of one direction of a ``FaultProxy``'s connection.
///
/// Values out of range are clamped to the nearest valid value, so that a random script never fails.
public struct FaultLane: Sendable, Hashable {
    /// How long each piece is delayed, from 0. A piece is the result of one read. Default zero.
    public var latency: Duration = .zero
    /// The most that is added to the latency, from 0. The amount is drawn for each piece. The order of the bytes is
    /// kept. Default zero.
    public var jitter: Duration = .zero
    /// How many bytes pass in a second at most, from 1; nil: no limit. n bytes take at least n / rate seconds. Default
    /// nil.
    public var bytesPerSecond: Int?
    /// How many bytes one write has at most, from 1; nil: no limit of the script. Default nil.
    public var sliceBytes: Int?
    /// The pause after each slice, from 0; ignored without `sliceBytes`. Default zero.
    public var sliceGap: Duration = .zero
    /// The faults, with their offsets, in any order. Default none.
    public var events: [FaultEvent] = []

    /// Makes a lane through which bytes pass unchanged.
    public init() {}
}

/// The script of one connection of a ``FaultProxy``: how it begins, and a lane for each direction.
///
/// ```swift
/// let script = FaultScript {
///     $0.toClient.latency = .milliseconds(50)
///     $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))]
/// }
/// ```
public struct FaultScript: Sendable, Hashable {
    /// How a connection begins. In each case the client's connect succeeds, because the proxy accepts it.
    public enum Opening: Sendable, Hashable {
        /// The proxy dials the server.
        case connect
        /// The proxy ends the connection at once and does not dial.
        case refuse(FaultCut)
        /// The proxy does not dial, and no bytes pass, until ``FaultProxy/resume()``.
        case silence
        /// The proxy dials the server after this delay, and reads nothing before that. Zero or less: no delay.
        case delay(Duration)
    }

    /// How the connection begins. Default `.connect`.
    public var opening: Opening = .connect
    /// The lane of the client's bytes.
    public var toServer = FaultLane()
    /// The lane of the server's bytes.
    public var toClient = FaultLane()

    /// Makes a script without faults.
    public init() {}

    /// Makes a script without faults, then changes it.
    public init(_ configure: (inout FaultScript) -> Void) {
        self.init()
        configure(&self)
    }

    /// A script without faults: all bytes pass unchanged.
    public static let none = FaultScript()

    subscript(direction: FaultDirection) -> FaultLane {
        get {
            switch direction {
            case .toServer: toServer
            case .toClient: toClient
            }
        }
        set {
            switch direction {
            case .toServer: toServer = newValue
            case .toClient: toClient = newValue
            }
        }
    }
}
