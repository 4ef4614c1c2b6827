/// What a ``FaultProxy`` does to the bytes of one direction of a connection.
///
/// Numbers out of range are taken for the nearest one in range, so that a drawn script never fails.
public struct FaultLane: Sendable, Hashable {
    /// How much later each piece passes, from 0. A piece is what one read yields. Default zero.
    public var latency: Duration = .zero
    /// Up to so much more, drawn for each piece, from 0. The order of the bytes is kept. Default zero.
    public var jitter: Duration = .zero
    /// How many bytes pass in a second at most, from 1; nil: as many as come. n bytes take at least n / rate. Default nil.
    public var bytesPerSecond: Int?
    /// How many bytes a write carries at most, from 1; nil: as many as there are. Default nil.
    public var sliceBytes: Int?
    /// How long after a slice the next one passes, from 0; without `sliceBytes` it is ignored. Default zero.
    public var sliceGap: Duration = .zero
    /// What happens at which byte, in any order. Default nothing.
    public var events: [FaultEvent] = []

    /// Makes a lane through which bytes pass untouched.
    public init() {}
}

/// What a ``FaultProxy`` does to one connection.
///
/// ```swift
/// let script = FaultScript {
///     $0.toClient.latency = .milliseconds(50)
///     $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))]
/// }
/// ```
public struct FaultScript: Sendable, Hashable {
    /// How a connection begins. The client's connect succeeds in each case: the proxy accepts it.
    public enum Opening: Sendable, Hashable {
        /// The proxy dials the server.
        case connect
        /// The proxy ends the connection at once and does not dial.
        case refuse(FaultCut)
        /// The proxy does not dial and passes nothing, until ``FaultProxy/resume()``.
        case silence
        /// The proxy dials the server so much later, and reads nothing before. Zero or less is no delay.
        case delay(Duration)
    }

    /// How the connection begins. Default `.connect`.
    public var opening: Opening = .connect
    /// What happens to the client's bytes.
    public var toServer = FaultLane()
    /// What happens to the server's bytes.
    public var toClient = FaultLane()

    /// Makes a script that does nothing.
    public init() {}

    /// Makes a script that does nothing, then changes it.
    public init(_ configure: (inout FaultScript) -> Void) {
        self.init()
        configure(&self)
    }

    /// A script that does nothing: all passes untouched.
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
