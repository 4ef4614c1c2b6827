internal import BowlineCore
internal import BowlineTransport

/// What the copies of a client share: the transport and the lifecycle.
///
/// When the last copy goes without a shutdown, unused connections close at once and the others as they finish.
final class ClientCore: Sendable {
    let transport: any ServiceTransport
    /// The transport, if it is Bowline's own.
    let pooled: PooledTransport?
    let lifecycle: ClientLifecycle
    let clock: any ServiceClock

    init(configuration: ClientConfiguration, transport: (any ServiceTransport)?) throws {
        try configuration.validate()
        if let transport {
            self.transport = transport
            pooled = nil
        } else {
            let made = try PooledTransport(options: configuration.transportOptions)
            self.transport = made
            pooled = made
        }
        clock = configuration.clock
        lifecycle = ClientLifecycle(transport: self.transport, clock: configuration.clock)
    }

    deinit {
        if lifecycle.state == .running { ClientLog.releasedWithoutShutdown() }
    }
}
