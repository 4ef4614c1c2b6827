package import BowlineCore
package import NIOCore

/// Opens a tunnel through a SOCKS5 proxy (RFC 1928), with user and password if there are credentials (RFC 1929).
///
/// | state | `begin` | answer incomplete | answer accepts | refuses, invalid or surplus bytes | closed |
/// |---|---|---|---|---|---|
/// | idle | greeting, writes the greeting | failed | failed | failed | failed |
/// | greeting | greeting | greeting | authentication or request, writes it | failed | failed |
/// | authentication | authentication | authentication | request, writes it | failed | failed |
/// | request | request | request | open | failed | failed |
/// | open | open | open | open | open | open |
/// | failed | failed | failed | failed | failed | failed |
///
/// In the states `greeting`, `authentication` and `request`, the machine waits for the answer to this message. The proxy
/// resolves the name, unless the target has an address. A proxy must wait for the next message, so bytes that arrive
/// together with an answer, directly behind it, fail the tunnel. The memory is one answer, at most 262 bytes.
package struct SOCKSStateMachine: ~Copyable, TunnelMachine {
    private enum State {
        case idle, greeting, authentication, request, open, failed
    }

    /// What the bytes of an answer say that have arrived.
    private enum Evaluation {
        case incomplete
        /// The answer has `count` bytes and accepts the message.
        case accepted(count: Int)
        case refused(ProxyFailure)
    }

    private static let version: UInt8 = 5
    private static let withoutAuthentication: UInt8 = 0
    private static let userAndPassword: UInt8 = 2
    private static let nothingAcceptable: UInt8 = 0xFF
    /// The longest answer: the reply to a request whose bound address is a name of 255 bytes.
    private static let longestAnswer = 262

    private let target: TunnelTarget
    private let credentials: ProxyCredentials?
    private var state = State.idle
    /// The bytes of the current answer.
    private var answer: [UInt8] = []
    private var hasAnswered = false

    package var bufferedByteCount: Int { answer.count }

    package init(target: TunnelTarget, credentials: ProxyCredentials?) {
        self.target = target
        self.credentials = credentials
    }

    package mutating func begin() -> TunnelStep {
        guard case .idle = state else { return .wait }
        if address == nil, !(1...255).contains(target.host.utf8.count) { return fail(.unusableName) }
        guard let credentials else { return send([Self.version, 1, Self.withoutAuthentication], then: .greeting) }
        guard credentials.user.utf8.count <= 255, credentials.password.utf8.count <= 255 else {
            return fail(.credentialsTooLong)
        }
        return send([Self.version, 2, Self.withoutAuthentication, Self.userAndPassword], then: .greeting)
    }

    package mutating func received(_ bytes: ByteBuffer) -> TunnelStep {
        switch state {
        case .idle: return fail(.bytesBehindAnswer)
        case .greeting, .authentication, .request: break
        case .open, .failed: return .wait
        }
        let view = bytes.readableBytesView
        guard !view.isEmpty else { return .wait }
        hasAnswered = true
        let taken = view.prefix(Self.longestAnswer - answer.count)
        answer += taken
        switch evaluate() {
        case .incomplete: return .wait
        case .refused(let failure): return fail(failure)
        case .accepted(let count):
            guard answer.count == count, taken.count == view.count else { return fail(.bytesBehindAnswer) }
            return accepted()
        }
    }

    package mutating func connectionClosed() -> TunnelStep {
        switch state {
        case .idle, .greeting, .authentication, .request: fail(.closedEarly(hasAnswered: hasAnswered))
        case .open, .failed: .wait
        }
    }

    /// The address to connect to; nil: the proxy resolves the name.
    private var address: IPAddress? { target.address ?? IPAddress(target.host) }

    private func evaluate() -> Evaluation {
        switch state {
        case .greeting: evaluateGreeting()
        case .authentication: evaluateAuthentication()
        case .request: evaluateRequest()
        case .idle, .open, .failed: .incomplete
        }
    }

    /// The answer to the greeting: `VER METHOD` (RFC 1928 §3).
    private func evaluateGreeting() -> Evaluation {
        guard answer[0] == Self.version else { return .refused(.notSOCKS) }
        guard answer.count >= 2 else { return .incomplete }
        switch answer[1] {
        case Self.withoutAuthentication: return .accepted(count: 2)
        case Self.userAndPassword where credentials != nil: return .accepted(count: 2)
        case Self.userAndPassword, Self.nothingAcceptable:
            return .refused(.socksMethodRefused(hadCredentials: credentials != nil))
        default: return .refused(.notSOCKS)
        }
    }

    /// The answer to user and password: `VER STATUS` (RFC 1929 §2). The version is 1; some proxies send 5.
    private func evaluateAuthentication() -> Evaluation {
        guard answer[0] == 1 || answer[0] == Self.version else { return .refused(.notSOCKS) }
        guard answer.count >= 2 else { return .incomplete }
        return answer[1] == 0 ? .accepted(count: 2) : .refused(.socksAuthenticationRefused)
    }

    /// The reply to the request: `VER REP RSV ATYP BND.ADDR BND.PORT` (RFC 1928 §6). A refusal counts before it is
    /// complete, because some proxies do not send the rest of it.
    private func evaluateRequest() -> Evaluation {
        guard answer[0] == Self.version else { return .refused(.notSOCKS) }
        guard answer.count >= 2 else { return .incomplete }
        guard answer[1] == 0 else { return .refused(.socksReply(answer[1])) }
        guard answer.count >= 4 else { return .incomplete }
        let addressLength: Int
        switch answer[3] {
        case 1: addressLength = 4
        case 3:
            guard answer.count >= 5 else { return .incomplete }
            addressLength = 1 + Int(answer[4])
        case 4: addressLength = 16
        default: return .refused(.notSOCKS)
        }
        let count = 4 + addressLength + 2
        return answer.count < count ? .incomplete : .accepted(count: count)
    }

    /// Writes the message that follows an accepting answer. After the last answer the tunnel is open.
    private mutating func accepted() -> TunnelStep {
        switch state {
        case .greeting where answer[1] == Self.userAndPassword: return send(userMessage(), then: .authentication)
        case .greeting, .authentication: return send(connectMessage(), then: .request)
        case .request, .idle, .open, .failed:
            answer = []
            state = .open
            return .opened
        }
    }

    private mutating func send(_ message: [UInt8], then next: State) -> TunnelStep {
        answer = []
        state = next
        return .write(message)
    }

    /// `VER ULEN UNAME PLEN PASSWD` (RFC 1929 §2).
    private func userMessage() -> [UInt8] {
        guard let credentials else { return [] }
        return [1] + Self.counted(credentials.user) + Self.counted(credentials.password)
    }

    /// `VER CMD RSV ATYP DST.ADDR DST.PORT` (RFC 1928 §4).
    private func connectMessage() -> [UInt8] {
        var message: [UInt8] = [Self.version, 1, 0]
        switch address {
        case let address?:
            message.append(address.family == .v4 ? 1 : 4)
            message += address.bytes
        case nil:
            message.append(3)
            message += Self.counted(target.host)
        }
        let port = UInt16(truncatingIfNeeded: target.port)
        return message + [UInt8(port >> 8), UInt8(port & 0xFF)]
    }

    /// The length of a text in one byte, and the text.
    private static func counted(_ text: String) -> [UInt8] {
        [UInt8(truncatingIfNeeded: text.utf8.count)] + text.utf8
    }

    private mutating func fail(_ failure: ProxyFailure) -> TunnelStep {
        answer = []
        state = .failed
        return .failed(failure)
    }
}
