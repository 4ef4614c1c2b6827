import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The tunnel through a SOCKS5 proxy")
struct SOCKSMachineTests {
    /// A conversation with a proxy: its answers, the messages that the client writes, and the end.
    struct Row: Sendable {
        var hasCredentials = false
        var answers: [[UInt8]]
        /// The first bytes of the messages after the greeting.
        var messages: [[UInt8]] = []
        /// The last step.
        var end: TunnelStep
    }

    static let credentials = ProxyCredentials(user: "user", password: "secret")
    static let greeting: [UInt8] = [5, 1, 0]
    static let greetingWithCredentials: [UInt8] = [5, 2, 0, 2]
    static let userMessage: [UInt8] = [1, 4] + Array("user".utf8) + [6] + Array("secret".utf8)
    static let connect: [UInt8] = [5, 1, 0, 3, 11] + Array("api.example".utf8) + [0x01, 0xBB]
    static let reply: [UInt8] = [5, 0, 0, 1, 192, 0, 2, 1, 0x1F, 0x90]
    static let replyWithName: [UInt8] = [5, 0, 0, 3, 4] + Array("host".utf8) + [0, 80]
    static let replyWithIPv6: [UInt8] = [5, 0, 0, 4] + [UInt8](repeating: 0xFD, count: 16) + [0, 80]
    static let longestReply: [UInt8] = [5, 0, 0, 3, 255] + [UInt8](repeating: 0x61, count: 255) + [0, 80]

    static let rows: [Row] = [
        Row(answers: [[5, 0], reply], messages: [connect], end: .opened),
        Row(answers: [[5, 0], replyWithName], messages: [connect], end: .opened),
        Row(answers: [[5, 0], replyWithIPv6], messages: [connect], end: .opened),
        Row(answers: [[5, 0], longestReply], messages: [connect], end: .opened),
        Row(answers: [[5, 0], [5, 0, 0, 3, 0, 0, 80]], messages: [connect], end: .opened),
        // The reserved byte is not checked.
        Row(answers: [[5, 0], [5, 0, 7, 1, 0, 0, 0, 0, 0, 0]], messages: [connect], end: .opened),
        Row(hasCredentials: true, answers: [[5, 0], reply], messages: [connect], end: .opened),
        Row(hasCredentials: true, answers: [[5, 2], [1, 0], reply], messages: [userMessage, connect], end: .opened),
        Row(hasCredentials: true, answers: [[5, 2], [5, 0], reply], messages: [userMessage, connect], end: .opened),

        Row(answers: [[5, 0xFF]], end: .failed(.socksMethodRefused(hadCredentials: false))),
        Row(answers: [[5, 2]], end: .failed(.socksMethodRefused(hadCredentials: false))),
        Row(
            hasCredentials: true, answers: [[5, 0xFF]], end: .failed(.socksMethodRefused(hadCredentials: true))),
        Row(answers: [[5, 1]], end: .failed(.notSOCKS)),
        Row(hasCredentials: true, answers: [[5, 3]], end: .failed(.notSOCKS)),
        Row(answers: [[4]], end: .failed(.notSOCKS)),
        Row(answers: [Array("HTTP/1.1 400 Bad Request\r\n".utf8)], end: .failed(.notSOCKS)),
        Row(
            hasCredentials: true, answers: [[5, 2], [1, 1]], messages: [userMessage],
            end: .failed(.socksAuthenticationRefused)),
        Row(
            hasCredentials: true, answers: [[5, 2], [1, 0xFF]], messages: [userMessage],
            end: .failed(.socksAuthenticationRefused)),
        Row(hasCredentials: true, answers: [[5, 2], [2]], messages: [userMessage], end: .failed(.notSOCKS)),
        Row(answers: [[5, 0], [4]], messages: [connect], end: .failed(.notSOCKS)),
        Row(answers: [[5, 0], [5, 0, 0, 2]], messages: [connect], end: .failed(.notSOCKS)),
        Row(answers: [[5, 0], [5, 0, 0, 0]], messages: [connect], end: .failed(.notSOCKS)),
        // A refusal counts before it is complete.
        Row(answers: [[5, 0], [5, 2]], messages: [connect], end: .failed(.socksReply(2))),
        Row(
            answers: [[5, 0], [5, 5, 0, 1, 0, 0, 0, 0, 0, 0]], messages: [connect],
            end: .failed(.socksReply(5))),
        Row(answers: [[5, 0], [5, 0xFF]], messages: [connect], end: .failed(.socksReply(0xFF))),
    ]

    @Test("Each conversation has its messages and its end, however the answers are cut", .tags(.PX5), arguments: rows)
    func conversations(row: Row) {
        let longest = row.answers.map(\.count).max() ?? 0
        for cut in 0...longest {
            Self.check(row, "cut at \(cut)") { [$0.prefix(cut), $0.dropFirst(cut)] }
        }
        Self.check(row, "byte by byte") { answer in answer.indices.map { answer[$0...$0] } }
    }

    private static func check(_ row: Row, _ comment: Comment, pieces: ([UInt8]) -> [ArraySlice<UInt8>]) {
        var machine = machine(hasCredentials: row.hasCredentials)
        let first = machine.begin()
        #expect(first == .write(row.hasCredentials ? greetingWithCredentials : greeting), comment)
        var steps: [TunnelStep] = []
        for piece in row.answers.flatMap(pieces) {
            let step = machine.received(ByteBuffer(bytes: piece))
            if step != .wait { steps.append(step) }
        }
        #expect(steps == row.messages.map { .write($0) } + [row.end], comment)
        let kept = machine.bufferedByteCount
        #expect(kept == 0, comment)
    }

    @Test("A proxy that closes before the end of a reply fails the tunnel, after each byte", .tags(.PX5))
    func closedEarly() {
        let answers: [[UInt8]] = [[5, 2], [1, 0], Self.longestReply]
        let total = answers.reduce(0) { $0 + $1.count }
        for count in 0..<total {
            var machine = Self.machine(hasCredentials: true)
            _ = machine.begin()
            var left = count
            for answer in answers where left > 0 {
                let piece = answer.prefix(left)
                left -= piece.count
                _ = machine.received(ByteBuffer(bytes: piece))
            }
            let end = machine.connectionClosed()
            let again = machine.connectionClosed()
            #expect(end == .failed(.closedEarly(hasAnswered: count > 0)), "after \(count) bytes")
            #expect(again == .wait)
        }
    }

    @Test("Bytes behind an answer fail the tunnel, wherever the answer is cut", .tags(.PX5))
    func bytesBehind() {
        let answers: [[UInt8]] = [[5, 2], [1, 0], Self.replyWithName]
        for (index, answer) in answers.enumerated() {
            for cut in 0..<answer.count {
                var machine = Self.machine(hasCredentials: true)
                _ = machine.begin()
                for before in answers[..<index] { _ = machine.received(ByteBuffer(bytes: before)) }
                _ = machine.received(ByteBuffer(bytes: answer[..<cut]))
                let end = machine.received(ByteBuffer(bytes: answer[cut...] + [0x16]))
                #expect(end == .failed(.bytesBehindAnswer), "answer \(index), cut at \(cut)")
            }
        }
        var machine = Self.machine()
        _ = machine.begin()
        _ = machine.received(ByteBuffer(bytes: [5, 0]))
        let end = machine.received(ByteBuffer(bytes: Self.longestReply + [0x16]))
        #expect(end == .failed(.bytesBehindAnswer))
    }

    @Test("The request has the address, if the target has one, and otherwise the name", .tags(.PX5))
    func targets() throws {
        let name = String(repeating: "n", count: 255)
        let documentation = try #require(IPAddress("192.0.2.1"))
        let rows: [(TunnelTarget, [UInt8])] = [
            (TunnelTarget(host: "api.example", port: 443), Self.connect),
            (
                TunnelTarget(host: "api.example", port: 80, address: documentation),
                [5, 1, 0, 1, 192, 0, 2, 1, 0, 80]
            ),
            (TunnelTarget(host: "192.0.2.1", port: 65_535), [5, 1, 0, 1, 192, 0, 2, 1, 0xFF, 0xFF]),
            (
                TunnelTarget(host: "2001:db8::1", port: 1),
                [5, 1, 0, 4, 0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1, 0, 1]
            ),
            (TunnelTarget(host: name, port: 443), [5, 1, 0, 3, 255] + Array(name.utf8) + [1, 0xBB]),
        ]
        for (target, message) in rows {
            var machine = SOCKSStateMachine(target: target, credentials: nil)
            _ = machine.begin()
            let step = machine.received(ByteBuffer(bytes: [5, 0]))
            #expect(step == .write(message), "\(target.host.prefix(20))")
        }
    }

    @Test("A name or credentials that do not fit fail before anything is written", .tags(.PX5))
    func tooLong() {
        let long = String(repeating: "n", count: 256)
        let rows: [(String, ProxyCredentials?, ProxyFailure)] = [
            (long, nil, .unusableName),
            ("", nil, .unusableName),
            ("api.example", ProxyCredentials(user: long, password: ""), .credentialsTooLong),
            ("api.example", ProxyCredentials(user: "", password: long), .credentialsTooLong),
        ]
        for (host, credentials, failure) in rows {
            var machine = SOCKSStateMachine(target: TunnelTarget(host: host, port: 443), credentials: credentials)
            let step = machine.begin()
            let next = machine.received(ByteBuffer(bytes: [5, 0]))
            #expect(step == .failed(failure))
            #expect(next == .wait)
        }
    }

    @Test("User and password may have 255 bytes each")
    func longestCredentials() {
        let long = String(repeating: "ü", count: 127) + "u"
        let target = TunnelTarget(host: "api.example", port: 443)
        var machine = SOCKSStateMachine(target: target, credentials: ProxyCredentials(user: long, password: long))
        _ = machine.begin()
        let step = machine.received(ByteBuffer(bytes: [5, 2]))
        #expect(step == .write([1, 255] + Array(long.utf8) + [255] + Array(long.utf8)))
    }

    // MARK: The machine's table

    enum Before: CaseIterable {
        case idle, greeting, authentication, request, open, failed
    }

    enum Event: CaseIterable {
        case begin, incomplete, accepted, authenticationAsked, refused, invalid, surplus, closed
    }

    /// The state after an event. `ended`: the machine had ended before the event.
    enum After {
        case greeting, authentication, request, open, failed, ended
    }

    static func after(_ before: Before, _ event: Event) -> After {
        switch (before, event) {
        case (.idle, .begin): .greeting
        case (.idle, _): .failed
        case (.greeting, .begin), (.greeting, .incomplete): .greeting
        case (.greeting, .accepted): .request
        case (.greeting, .authenticationAsked): .authentication
        case (.authentication, .begin), (.authentication, .incomplete): .authentication
        case (.authentication, .accepted): .request
        case (.request, .begin), (.request, .incomplete): .request
        case (.request, .accepted): .open
        case (.greeting, _), (.authentication, _), (.request, _): .failed
        case (.open, _), (.failed, _): .ended
        }
    }

    @Test("Each state and event have the result that the machine's table says", arguments: Before.allCases)
    func table(before: Before) {
        for event in Event.allCases {
            var machine = Self.machine(hasCredentials: true)
            if before != .idle { _ = machine.begin() }
            switch before {
            case .idle, .greeting: break
            case .authentication: _ = machine.received(ByteBuffer(bytes: [5, 2]))
            case .request: _ = machine.received(ByteBuffer(bytes: [5, 0]))
            case .open:
                _ = machine.received(ByteBuffer(bytes: [5, 0]))
                _ = machine.received(ByteBuffer(bytes: Self.reply))
            case .failed: _ = machine.connectionClosed()
            }
            let step = Self.perform(event, before, &machine)
            let after = Self.state(of: &machine, after: step, before)
            #expect(after == Self.after(before, event), "\(before), \(event)")
        }
    }

    private static func perform(_ event: Event, _ before: Before, _ machine: inout SOCKSStateMachine) -> TunnelStep {
        let isReply = before == .request
        let accepted: [UInt8] = isReply ? reply : [before == .authentication ? 1 : 5, 0]
        return switch event {
        case .begin: machine.begin()
        case .incomplete: machine.received(ByteBuffer(bytes: accepted[..<1]))
        case .accepted: machine.received(ByteBuffer(bytes: accepted))
        case .authenticationAsked: machine.received(ByteBuffer(bytes: [5, 2]))
        case .refused: machine.received(ByteBuffer(bytes: isReply ? [5, 1] : [accepted[0], 0xFF]))
        case .invalid: machine.received(ByteBuffer(bytes: [0x48]))
        case .surplus: machine.received(ByteBuffer(bytes: accepted + [0]))
        case .closed: machine.connectionClosed()
        }
    }

    private static func state(
        of machine: inout SOCKSStateMachine, after step: TunnelStep, _ before: Before
    ) -> After? {
        switch step {
        case .opened: return .open
        case .failed: return .failed
        case .write(greetingWithCredentials): return .greeting
        case .write(userMessage): return .authentication
        case .write(connect): return .request
        case .write: return nil
        case .wait: break
        }
        guard machine.connectionClosed() != .wait else { return .ended }
        return switch before {
        case .greeting: .greeting
        case .authentication: .authentication
        case .request: .request
        case .idle, .open, .failed: nil
        }
    }

    @Test("a seeded walk: whatever the proxy sends, the tunnel ends at most once and keeps at most one reply")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        let fragments: [[UInt8]] = [
            [5], [0], [2], [1], [5, 0], [5, 2], [1, 0], [5, 0, 0], [3, 255], Self.reply, Self.longestReply,
            [UInt8](repeating: 0x61, count: 100),
        ]
        var opened = 0
        for _ in 0..<5_000 {
            var machine = Self.machine(hasCredentials: random.nextBool())
            _ = machine.begin()
            var (ends, writes) = (0, 0)
            for _ in 0..<20 {
                var bytes = fragments[random.next(in: 0..<fragments.count)]
                if random.nextBool(probability: 0.05) { bytes = [UInt8(random.next(in: 0..<256))] }
                let isClosed = random.nextBool(probability: 0.01)
                let step = isClosed ? machine.connectionClosed() : machine.received(ByteBuffer(bytes: bytes))
                let kept = machine.bufferedByteCount
                #expect(kept < 262)
                switch step {
                case .wait: break
                case .write:
                    writes += 1
                    #expect(ends == 0)
                case .opened:
                    opened += 1
                    ends += 1
                case .failed: ends += 1
                }
            }
            #expect(ends <= 1)
            #expect(writes <= 2)
        }
        #expect(opened > 0)
    }

    private static func machine(hasCredentials: Bool = false) -> SOCKSStateMachine {
        SOCKSStateMachine(
            target: TunnelTarget(host: "api.example", port: 443), credentials: hasCredentials ? credentials : nil)
    }
}
