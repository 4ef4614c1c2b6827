internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// The steps *resolve* and *connect* of a dial: opens a socket to one of the target's addresses (RFC 8305).
///
/// ``ConnectStateMachine`` decides which address is tried when. This class resolves, opens sockets and keeps the timer.
/// It ends once, with a connected channel or an error, and closes all other channels that it opened. All calls are on
/// the event loop.
// Safety: mutable state is touched on `eventLoop` only.
final class ConnectStep: @unchecked Sendable {
    /// Where to connect to.
    enum Target: Sendable {
        case socket(path: String)
        case address(IPAddress, port: Int)
        case name(String, port: Int)
    }

    private let target: Target
    private let environment: TransportEnvironment
    private let timer: LoopTimer
    private let prepare: (any Channel) throws -> Void
    private let resolved: () -> Void
    private let completion: (Result<any Channel, any Error>) -> Void

    private var machine = ConnectStateMachine()
    private var resolve: ResolveStep?
    private var wakeUp: LoopTimer.Cancellation?
    /// The open channels, by attempt. A Unix domain socket has no attempt of the machine and the key 0.
    private var channels = AttemptChannels()
    private var isOver = false
    /// Whether effects of the machine are being applied.
    private var isApplying = false
    /// The attempt that has ended within the call that started it.
    private var endedAtOnce: (ConnectStateMachine.Attempt, Result<any Channel, any Error>)?
    /// The result that `apply` reports when all effects are applied.
    private var result: Result<any Channel, any Error>?
    private let began: MonotonicInstant
    /// When the first address was known; nil: not yet.
    private var firstAddress: MonotonicInstant?

    private var eventLoop: any EventLoop { timer.eventLoop }

    /// - Parameters:
    ///   - prepare: Prepares each channel before it connects.
    ///   - resolved: Called when the first address of a name is known. Not called for an address or a socket's path.
    ///   - completion: Called once on the loop, unless the step is cancelled before.
    init(
        _ target: Target, environment: TransportEnvironment, timer: LoopTimer,
        prepare: @escaping (any Channel) throws -> Void,
        resolved: @escaping () -> Void,
        completion: @escaping (Result<any Channel, any Error>) -> Void
    ) {
        self.target = target
        self.environment = environment
        self.timer = timer
        self.prepare = prepare
        self.resolved = resolved
        self.completion = completion
        began = timer.now
    }

    /// Whether the target's addresses are still being looked up, and none is known.
    var isResolving: Bool { resolve != nil && firstAddress == nil }

    /// How long the name resolution took; nil: there was none.
    var resolveDuration: Duration? {
        guard case .name = target, let firstAddress else { return nil }
        return began.duration(to: firstAddress)
    }

    /// How long the connect took, if it ends now.
    func connectDuration(at now: MonotonicInstant) -> Duration {
        (firstAddress ?? began).duration(to: now)
    }

    func start() {
        switch target {
        case .socket(let path):
            openSocket(path)
        case .address(let address, let port):
            firstAddress = began
            apply(machine.begin(.addresses([address]), now: began), port: port)
        case .name(let host, let port):
            apply(machine.begin(.lookUps, now: began), port: port)
            let resolve = ResolveStep(host, cache: environment.addresses, eventLoop: eventLoop) { family, answer in
                self.found(family, answer, port: port)
            }
            self.resolve = resolve
            resolve.start()
        }
    }

    /// Ends the step and closes its channels.
    func cancel() {
        guard !isOver else { return }
        end()
    }

    /// Records that the dial's limit has passed: the addresses that have not answered are tried last in the next dials,
    /// and the next dial asks the resolver again.
    func timedOut() {
        guard !isOver else { return }
        isOver = true
        let now = timer.now
        if case .name(let host, _) = target, firstAddress != nil { environment.addresses.expire(host) }
        for attempt in machine.cancel().close { judge(attempt, at: now) }
        end()
    }

    private func found(_ family: IPAddress.Family, _ answer: ResolveStep.Answer, port: Int) {
        let now = timer.now
        switch answer {
        case .success(let addresses):
            if let local = environment.options.connection.localAddress, local.family != family, !addresses.isEmpty {
                apply(machine.lookUpFailed(family, DialFailure.otherFamily(local: local), now: now), port: port)
                return
            }
            if firstAddress == nil, !addresses.isEmpty {
                firstAddress = now
                resolved()
            }
            let (ordered, recentlyFailed) = environment.addressHistory.ordered(addresses, now: now)
            apply(machine.addressesFound(family, ordered, recentlyFailed: recentlyFailed, now: now), port: port)
        case .failure(let error):
            apply(machine.lookUpFailed(family, error, now: now), port: port)
        }
    }

    /// Takes the actions of `effects`, and of the effects that follow from attempts that end at once.
    private func apply(_ effects: ConnectEffects, port: Int) {
        guard !isOver else { return }
        var effects = effects
        isApplying = true
        while take(effects, port: port), let (attempt, end) = endedAtOnce {
            endedAtOnce = nil
            effects = record(end, of: attempt)
        }
        isApplying = false
        if let result {
            self.result = nil
            completion(result)
        }
    }

    /// - Returns: Whether the step continues. If not, `result` is set.
    private func take(_ effects: ConnectEffects, port: Int) -> Bool {
        switch effects.timer {
        case nil: break
        case .cancel: cancelWakeUp()
        case .set(let id, let instant):
            cancelWakeUp()
            wakeUp = timer.schedule(at: instant) { [weak self] in
                guard let self, !isOver else { return }
                apply(machine.timerFired(id, now: timer.now), port: port)
            }
        }
        // Set first: closing a channel reports the failure of its connect in the same call.
        if effects.outcome != nil { isOver = true }
        for attempt in effects.close { judge(attempt, at: timer.now) }
        switch effects.outcome {
        case nil:
            if let attempt = effects.connect { open(attempt, port: port) }
            return true
        case .connected(let attempt):
            environment.addressHistory.succeeded(attempt.address)
            guard let channel = channels.remove(attempt.id.value) else {
                preconditionFailure("an attempt that connected has a channel")
            }
            end(cancelsLookUps: false)
            result = .success(channel)
        case .failed(let failure):
            if case .name(let host, _) = target { environment.addresses.expire(host) }
            end()
            result = .failure(failure)
        }
        return false
    }

    private func open(_ attempt: ConnectStateMachine.Attempt, port: Int) {
        let future: EventLoopFuture<any Channel>
        do {
            let remote = try SocketAddress(attempt.address, port: port)
            let local = try localAddress(for: attempt.address)
            future = connect(attempt.id.value, to: remote, from: local)
        } catch {
            ended(attempt, .failure(error), port: port)
            return
        }
        future.assumeIsolated().whenComplete { self.ended(attempt, $0, port: port) }
    }

    private func ended(_ attempt: ConnectStateMachine.Attempt, _ end: Result<any Channel, any Error>, port: Int) {
        guard !isOver else {
            if case .success(let channel) = end { channel.close(promise: nil) }
            return
        }
        // A connect may end within the call that starts it. It is not applied here: with many addresses that fail at
        // once, the calls would be nested.
        guard !isApplying else {
            endedAtOnce = (attempt, end)
            return
        }
        apply(record(end, of: attempt), port: port)
    }

    private func record(
        _ end: Result<any Channel, any Error>, of attempt: ConnectStateMachine.Attempt
    ) -> ConnectEffects {
        switch end {
        case .success(let channel):
            channels[attempt.id.value] = channel
            return machine.attemptConnected(attempt.id)
        case .failure(let error):
            channels[attempt.id.value] = nil
            return recordFailure(of: attempt, error)
        }
    }

    private func recordFailure(of attempt: ConnectStateMachine.Attempt, _ error: any Error) -> ConnectEffects {
        let error = localAddressFailure(error) ?? error
        let kind = ConnectFailure.Kind(error)
        let now = timer.now
        // A failure of this machine says nothing about the address.
        if kind != .resources, error is IOError { environment.addressHistory.failed(attempt.address, now: now) }
        return machine.attemptFailed(attempt.id, error, kind, now: now)
    }

    /// Records that the address of an attempt that is closed may be bad: it did not answer within the delay after which
    /// another address is tried.
    private func judge(_ attempt: ConnectStateMachine.Attempt, at now: MonotonicInstant) {
        channels.remove(attempt.id.value)?.close(promise: nil)
        guard attempt.began.duration(to: now) >= ConnectStateMachine.attemptDelay else { return }
        environment.addressHistory.failed(attempt.address, now: now)
    }

    /// Connects to a Unix domain socket: one attempt, without the machine.
    private func openSocket(_ path: String) {
        let remote: SocketAddress
        do {
            remote = try SocketAddress(unixDomainSocketPath: path)
        } catch {
            fail(error)
            return
        }
        connect(0, to: remote).assumeIsolated().whenComplete { result in
            guard !self.isOver else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            self.channels[0] = nil
            switch result {
            case .success(let channel):
                self.end()
                self.completion(.success(channel))
            case .failure(let error): self.fail(error)
            }
        }
    }

    private func connect(
        _ attempt: Int, to remote: SocketAddress, from local: SocketAddress? = nil
    ) -> EventLoopFuture<any Channel> {
        let opened = { (channel: any Channel) in
            guard !self.isOver else { throw DialFailure.cancelled }
            self.channels[attempt] = channel
            try self.prepare(channel)
        }
        if let network = environment.options.network {
            return network.connect(to: remote, from: local, on: eventLoop, prepare: opened)
        }
        return environment.loops.connector(of: eventLoop).connect(to: remote, from: local, prepare: opened)
    }

    /// Returns the address of this machine from which the client connects; nil: the system chooses.
    private func localAddress(for remote: IPAddress) throws -> SocketAddress? {
        guard let local = environment.options.connection.localAddress else { return nil }
        guard local.family == remote.family else { throw DialFailure.otherFamily(local: local) }
        return try SocketAddress(local, port: 0)
    }

    /// Returns the failure if this machine does not have the local address; nil: the error has another cause.
    private func localAddressFailure(_ error: any Error) -> DialFailure? {
        guard let local = environment.options.connection.localAddress,
            (error as? IOError)?.errnoCode == EADDRNOTAVAIL
        else { return nil }
        return .noLocalAddress(local)
    }

    private func fail(_ error: any Error) {
        end()
        completion(.failure(error))
    }

    /// - Parameter cancelsLookUps: Whether look-ups that still run end. After a success they go on for a short time, so
    ///   that the client keeps their answers.
    private func end(cancelsLookUps: Bool = true) {
        isOver = true
        cancelWakeUp()
        if cancelsLookUps { resolve?.cancel() } else { resolve?.leave() }
        resolve = nil
        for channel in channels.removeAll() { channel.close(promise: nil) }
    }

    private func cancelWakeUp() {
        wakeUp?()
        wakeUp = nil
    }
}

/// The channels of open attempts, by attempt. The first is stored inline: mostly there is no other.
private struct AttemptChannels {
    private var first: (attempt: Int, channel: any Channel)?
    private var others: [Int: any Channel] = [:]

    subscript(attempt: Int) -> (any Channel)? {
        get { first?.attempt == attempt ? first?.channel : others[attempt] }
        set {
            if first?.attempt == attempt {
                first = newValue.map { (attempt, $0) }
            } else if first == nil, let newValue, others.isEmpty {
                first = (attempt, newValue)
            } else {
                others[attempt] = newValue
            }
        }
    }

    mutating func remove(_ attempt: Int) -> (any Channel)? {
        let channel = self[attempt]
        self[attempt] = nil
        return channel
    }

    /// Removes all channels. Returns them in an order that does not depend on chance.
    mutating func removeAll() -> [any Channel] {
        guard first != nil || !others.isEmpty else { return [] }
        defer { self = AttemptChannels() }
        return (first.map { [$0.channel] } ?? []) + others.sorted { $0.key < $1.key }.map(\.value)
    }
}

extension SocketAddress {
    /// - Throws: ``NameLookupError`` if the address has a zone that is no interface of this machine.
    fileprivate init(_ address: IPAddress, port: Int) throws {
        switch (address.family, address.zone) {
        case (.v4, _):
            let number = UInt32(truncatingIfNeeded: address.low)
            // With an empty host, SwiftNIO does not write the address as text.
            self.init(SocketName.ipv4(number, port: port), host: "")
        case (.v6, nil):
            self.init(SocketName.ipv6(high: address.high, low: address.low, port: port), host: "")
        case (.v6, .some):
            do {
                self = try SocketAddress(ipAddress: address.description, port: port)
            } catch {
                throw NameLookupError(.unknownZone)
            }
        }
    }
}
