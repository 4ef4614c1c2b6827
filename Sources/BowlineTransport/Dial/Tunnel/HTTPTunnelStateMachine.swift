package import NIOCore

/// Opens a tunnel through an HTTP proxy with CONNECT (RFC 9110 §9.3.6, RFC 9112 §3.2.3).
///
/// | state | `begin` | head incomplete, 1xx | 2xx | 407, other status, invalid or surplus bytes | closed |
/// |---|---|---|---|---|---|
/// | idle | waiting, writes CONNECT | failed | failed | failed | failed |
/// | waiting | waiting | waiting | open | failed | failed |
/// | open | open | open | open | open | open |
/// | failed | failed | failed | failed | failed | failed |
///
/// A 2xx ends HTTP on the connection, and its Content-Length and Transfer-Encoding are ignored (RFC 9110 §9.3.6). The
/// origin does not speak before the client. So bytes that arrive together with a 2xx, directly behind its head, fail
/// the tunnel. A redirect is not followed, and the body of a refusal is not read. The memory is one head (see
/// ``HTTP1Limits``) and the bytes of the last read.
///
/// The request has no `User-Agent`: the proxy needs only the target, and the origin gets the field within the tunnel.
package struct HTTPTunnelStateMachine: ~Copyable, TunnelMachine {
    private enum State {
        case idle, waiting, open, failed
    }

    private let target: TunnelTarget
    /// The value of `Proxy-Authorization`; nil: there are no credentials.
    private let authorization: String?
    private var parser: HTTP1ResponseParser
    private var state = State.idle

    package var bufferedByteCount: Int { parser.bufferedByteCount }

    /// - Parameter authorization: The value of `Proxy-Authorization`; nil: the request has no such field.
    package init(target: TunnelTarget, authorization: String?, limits: HTTP1Limits) {
        self.target = target
        self.authorization = authorization
        parser = HTTP1ResponseParser(limits: limits)
    }

    package mutating func begin() -> TunnelStep {
        guard case .idle = state else { return .wait }
        state = .waiting
        parser.beginResponse(to: .connect)
        return .write(request())
    }

    package mutating func received(_ bytes: ByteBuffer) -> TunnelStep {
        switch state {
        case .idle: return fail(.bytesBehindAnswer)
        case .waiting:
            parser.append(bytes)
            do throws(HTTP1ParseError) {
                return try nextStep()
            } catch {
                return fail(error.reason == .bytesAfterUpgrade ? .bytesBehindAnswer : .invalidAnswer(error))
            }
        case .open, .failed: return .wait
        }
    }

    package mutating func connectionClosed() -> TunnelStep {
        switch state {
        case .idle, .waiting: fail(.closedEarly(hasAnswered: parser.hasReceivedAnyByte))
        case .open, .failed: .wait
        }
    }

    private func request() -> [UInt8] {
        let authority = target.authority
        var text = "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n"
        if let authorization { text += "Proxy-Authorization: \(authorization)\r\n" }
        text += "\r\n"
        return Array(text.utf8)
    }

    private mutating func nextStep() throws(HTTP1ParseError) -> TunnelStep {
        while true {
            switch try parser.next() {
            case .needMoreBytes: return .wait
            case .head(let head, _): return answered(head.statusCode)
            // A body and an end follow only a final head, which is the last event that the machine takes.
            case .informational, .body, .end: continue
            }
        }
    }

    private mutating func answered(_ status: Int) -> TunnelStep {
        switch status {
        case 200...299:
            state = .open
            return .opened
        case 407: return fail(.authenticationRequired(hadCredentials: authorization != nil))
        default: return fail(.refused(status: status))
        }
    }

    private mutating func fail(_ failure: ProxyFailure) -> TunnelStep {
        state = .failed
        // Frees the bytes that have not been parsed.
        parser = HTTP1ResponseParser()
        return .failed(failure)
    }
}
