public import Logging

/// The spans, metrics, log lines and events of a client. `Docs/Telemetry.md` lists every name.
public struct TelemetryOptions: Sendable, ConfigurableOptions {
    /// Whether each attempt makes a span. Has an effect only if a tracer is installed when the client is made; without
    /// a tracer it costs nothing. Default true.
    public var isTracingEnabled = true
    /// Whether requests and connections are measured. Has an effect only if a metrics backend is installed when the
    /// client is made; without a backend it costs nothing. Default true.
    public var isMetricsEnabled = true
    /// The logger that gets log lines; nil: the calling task's logger (`withLogger`). If the task has none, no lines
    /// are logged. Default nil.
    public var logger: Logger?
    /// Whether an error contains the path (without the query) if the request has no target template. A path may contain
    /// secrets and personal data, and errors are often logged. Default false.
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
