public import Logging

/// The spans, metrics, log lines and events of a client. `Docs/Telemetry.md` lists every name.
public struct TelemetryOptions: Sendable, ConfigurableOptions {
    /// Makes one span for each attempt, if a tracer is installed when the client is made; without one nothing is done
    /// and nothing costs. Default true.
    public var isTracingEnabled = true
    /// Measures requests and connections, if a metrics backend is installed when the client is made; without one
    /// nothing is done and nothing costs. Default true.
    public var isMetricsEnabled = true
    /// Where log lines go; nil: to the logger that the calling task has (`withLogger`), and nowhere if it has none.
    /// Default nil.
    public var logger: Logger?
    /// Whether errors of requests without a target template say the path, without its query. Paths may hold secrets and personal
    /// data, and errors are often logged. Default false.
    public var namesPathsInErrors = false
    /// Listeners for each phase of requests and connections, called in this order. Default none, which costs nothing.
    public var events: [any ServiceEventListener] = []

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("isTracingEnabled", .flag(\.isTracingEnabled)),
            OptionKnob("isMetricsEnabled", .flag(\.isMetricsEnabled)),
            OptionKnob("namesPathsInErrors", .flag(\.namesPathsInErrors)),
        ]
    }
}
