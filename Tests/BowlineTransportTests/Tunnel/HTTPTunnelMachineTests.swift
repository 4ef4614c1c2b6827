import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The tunnel through an HTTP proxy")
struct HTTPTunnelMachineTests {
    /// The end of a tunnel.
    enum End: Equatable {
        /// The machine waits for more bytes.
        case none
        case opened
        case failed(ProxyFailure)
        /// The answer is not HTTP. Only the reason is compared.
        case invalid(HTTP1ParseError.Reason)

        init(_ step: TunnelStep) {
            switch step {
            case .wait, .write: self = .none
            case .opened: self = .opened
            case .failed(.invalidAnswer(let error)): self = .invalid(error.reason)
            case .failed(let failure): self = .failed(failure)
            }
        }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let answer: String
        let end: End

        init(_ answer: String, _ end: End) {
            self.answer = answer
            self.end = end
        }

        var testDescription: String { String(answer.prefix(60).filter { !$0.isNewline }) }
    }

    static let authorization = BasicCredentials.fieldValue(user: "user", password: "secret-password")
    static let ok = "HTTP/1.1 200 Connection established\r\n"
    static let informational = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    static let rows: [Row] = [
        Row(ok + "\r\n", .opened),
        Row("HTTP/1.0 200 OK\r\n\r\n", .opened),
        Row("HTTP/1.1 200\r\n\r\n", .opened),
        Row("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", .opened),
        Row("HTTP/1.1 299 Odd\r\n\r\n", .opened),
        // RFC 9110 §9.3.6: fields that frame a message have no meaning in a 2xx.
        Row(ok + "Content-Length: 5\r\n\r\n", .opened),
        Row(ok + "Content-Length: many\r\n\r\n", .opened),
        Row(ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", .opened),
        Row("HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", .opened),
        Row(informational + "HTTP/1.1 100 Continue\r\n\r\n" + ok + "\r\n", .opened),
        Row(String(repeating: informational, count: 16) + ok + "\r\n", .opened),
        Row(String(repeating: informational, count: 17), .invalid(.tooManyInformationalResponses)),

        Row(
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
            .failed(.authenticationRequired(hadCredentials: false))),
        Row(informational + "HTTP/1.0 407 No\r\n\r\n", .failed(.authenticationRequired(hadCredentials: false))),
        Row("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\n\r\n", .failed(.refused(status: 302))),
        Row("HTTP/1.1 304 Not Modified\r\n\r\n", .failed(.refused(status: 304))),
        Row("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno!", .failed(.refused(status: 400))),
        Row("HTTP/1.1 401 Unauthorized\r\n\r\n", .failed(.refused(status: 401))),
        Row("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", .failed(.refused(status: 403))),
        Row("HTTP/1.1 503 Down\r\n\r\n<html>", .failed(.refused(status: 503))),
        Row("HTTP/1.1 999 Odd\r\n\r\n", .failed(.refused(status: 999))),
        Row("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", .invalid(.unsolicitedUpgrade)),

        Row("SSH-2.0-OpenSSH_9.9\r\n", .invalid(.notHTTP1)),
        Row("\u{5}\0", .invalid(.notHTTP1)),
        Row("\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}", .invalid(.notHTTP1)),
        Row("\r\n" + ok + "\r\n", .invalid(.notHTTP1)),
        Row("HTTP/2 200\r\n\r\n", .invalid(.unsupportedVersion)),
        Row("HTTP/1.1 20\r\n\r\n", .invalid(.invalidStatusCode)),
        Row("HTTP/1.1 099 Odd\r\n\r\n", .invalid(.invalidStatusCode)),
        Row("HTTP/1.1 200 OK\n\n", .invalid(.bareLineFeed)),
        Row(ok + "no colon\r\n\r\n", .invalid(.whitespaceInFieldName)),
        Row(ok + "X: \0\r\n\r\n", .invalid(.invalidFieldValue)),
        Row("HTTP/1.1 403 Forbidden\r\nContent-Length: many\r\n\r\n", .invalid(.invalidContentLength)),
    ]

    @Test("Each answer has its end, however its bytes are cut", .tags(.PX2), arguments: rows)
    func answers(row: Row) {
        let bytes = Array(row.answer.utf8)
        for cut in 0...bytes.count {
            #expect(Self.end(of: [bytes[..<cut], bytes[cut...]]) == row.end, "cut at \(cut)")
        }
        #expect(Self.end(of: bytes.indices.map { bytes[$0...$0] }) == row.end, "byte by byte")
    }

    @Test("An answer that is cut off fails as closed early; without a byte the proxy has not answered", .tags(.PX3))
    func closedEarly() {
        let bytes = Array((Self.informational + Self.ok + "Via: 1.1 proxy\r\n\r\n").utf8)
        for count in 0..<bytes.count {
            var machine = Self.machine()
            _ = machine.begin()
            let before = machine.received(ByteBuffer(bytes: bytes[..<count]))
            let end = machine.connectionClosed()
            #expect(before == .wait)
            #expect(end == .failed(.closedEarly(hasAnswered: count > 0)))
        }
    }

    @Test("Bytes directly behind the head of a 2xx fail the tunnel, also an announced body", .tags(.PX2))
    func bytesBehind() {
        let fields = ["", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"]
        for field in fields {
            let head = Array((Self.ok + field + "\r\n").utf8)
            for cut in 0..<head.count {
                let end = Self.end(of: [head[..<cut], head[cut...] + [0x6F, 0x6B]])
                #expect(end == .failed(.bytesBehindAnswer), "cut at \(cut)")
            }
        }
    }

    @Test("A head may be as large as the limits, and no larger")
    func limits() {
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = Self.ok.utf8.count + 12
        limits.maximumFields = 2
        let within = Self.end(of: [Array((Self.ok + "A: 12345\r\n\r\n").utf8)[...]], limits: limits)
        let larger = Self.end(of: [Array((Self.ok + "A: 123456\r\n\r\n").utf8)[...]], limits: limits)
        let more = Self.end(of: [Array((Self.ok + "A:\r\nB:\r\nC:\r\n\r\n").utf8)[...]], limits: limits)
        #expect(within == .opened)
        #expect(larger == .invalid(.headTooLarge))
        #expect(more == .invalid(.tooManyFields))
    }

    @Test("The request names the target twice, and has credentials only if there are any")
    func request() {
        let rows: [(TunnelTarget, String?, String)] = [
            (
                TunnelTarget(host: "api.example", port: 443), nil,
                "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
            ),
            (
                TunnelTarget(host: "192.0.2.1", port: 8443), "Basic dXNlcjpwYXNz",
                "CONNECT 192.0.2.1:8443 HTTP/1.1\r\nHost: 192.0.2.1:8443\r\n"
                    + "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
            ),
            (
                TunnelTarget(host: "2001:db8::1", port: 443), nil,
                "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
            ),
            (
                TunnelTarget(host: "fe80::1%eth0", port: 443), nil,
                "CONNECT [fe80::1]:443 HTTP/1.1\r\nHost: [fe80::1]:443\r\n\r\n"
            ),
            (
                TunnelTarget(host: "api.example", port: 443, address: IPAddress("192.0.2.1")), nil,
                "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
            ),
        ]
        for (target, authorization, text) in rows {
            var machine = HTTPTunnelStateMachine(target: target, authorization: authorization, limits: HTTP1Limits())
            let step = machine.begin()
            #expect(step == .write(Array(text.utf8)))
        }
    }

    @Test("A 407 says whether the request had credentials", arguments: [true, false])
    func authentication(hasCredentials: Bool) {
        var machine = Self.machine(authorization: hasCredentials ? Self.authorization : nil)
        _ = machine.begin()
        let end = machine.received(ByteBuffer(string: "HTTP/1.1 407 No\r\n\r\n"))
        #expect(end == .failed(.authenticationRequired(hadCredentials: hasCredentials)))
    }

    @Test("A proxy that repeats the credentials cannot put them into the failure's text")
    func repeatedCredentials() {
        let secret = Self.authorization
        for status in ["403", "407", "502", "200"] {
            var machine = Self.machine(authorization: Self.authorization)
            _ = machine.begin()
            let fields = "X-Echo: \(secret)\r\nLocation: /secret-password\r\n"
            let answer = "HTTP/1.1 \(status) \(secret)\r\n\(fields)\r\n\(secret)"
            guard case .failed(let failure) = machine.received(ByteBuffer(string: answer)) else {
                Issue.record("no failure with status \(status)")
                continue
            }
            let text = failure.message(proxy: "http://proxy.example:3128") + String(reflecting: failure)
            #expect(!text.contains(secret.dropFirst(6)))
            #expect(!text.contains("secret-password"))
        }
    }

    // MARK: The machine's table

    enum Before: CaseIterable {
        case idle, waiting, open, failed
    }

    enum Event: CaseIterable {
        case begin, incomplete, informational, accepted, refused, authenticationRequired, invalid, surplus, closed
    }

    /// The state after an event. `ended`: the machine had ended before the event.
    enum After {
        case waiting, open, failed, ended
    }

    static func after(_ before: Before, _ event: Event) -> After {
        switch (before, event) {
        case (.idle, .begin): .waiting
        case (.idle, _): .failed
        case (.waiting, .begin), (.waiting, .incomplete), (.waiting, .informational): .waiting
        case (.waiting, .accepted): .open
        case (.waiting, _): .failed
        case (.open, _), (.failed, _): .ended
        }
    }

    @Test("Each state and event have the result that the machine's table says", arguments: Before.allCases)
    func table(before: Before) {
        for event in Event.allCases {
            var machine = Self.machine()
            if before != .idle { _ = machine.begin() }
            if before == .open { _ = machine.received(ByteBuffer(string: Self.ok + "\r\n")) }
            if before == .failed { _ = machine.connectionClosed() }
            let step = Self.perform(event, &machine)
            let probe = machine.connectionClosed()
            let after: After =
                switch (step, probe) {
                case (.opened, .wait): .open
                case (.failed, .wait): .failed
                case (.wait, .wait): .ended
                default: .waiting
                }
            #expect(after == Self.after(before, event), "\(before), \(event)")
            if case .write = step { #expect(before == .idle && event == .begin, "\(before), \(event)") }
        }
    }

    private static func perform(_ event: Event, _ machine: inout HTTPTunnelStateMachine) -> TunnelStep {
        switch event {
        case .begin: machine.begin()
        case .incomplete: machine.received(ByteBuffer(string: ok))
        case .informational: machine.received(ByteBuffer(string: informational))
        case .accepted: machine.received(ByteBuffer(string: ok + "\r\n"))
        case .refused: machine.received(ByteBuffer(string: "HTTP/1.1 403 No\r\n\r\n"))
        case .authenticationRequired: machine.received(ByteBuffer(string: "HTTP/1.1 407 No\r\n\r\n"))
        case .invalid: machine.received(ByteBuffer(string: "x"))
        case .surplus: machine.received(ByteBuffer(string: ok + "\r\nx"))
        case .closed: machine.connectionClosed()
        }
    }

    @Test("a seeded walk: whatever the proxy sends, the tunnel ends at most once and keeps few bytes")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        let texts = [
            Self.ok, "\r\n", Self.informational, "HTTP/1.1 ", "407 No\r\n", "X: y\r\n", "\n", ":", "\0", " folded\r\n",
        ]
        let fragments = texts.map { Array($0.utf8) }
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = 300
        limits.maximumFields = 6
        limits.maximumInformationalResponses = 3
        for _ in 0..<3_000 {
            var machine = HTTPTunnelStateMachine(
                target: TunnelTarget(host: "api.example", port: 443), authorization: nil, limits: limits)
            _ = machine.begin()
            var ends = 0
            for _ in 0..<40 {
                var bytes = fragments[random.next(in: 0..<fragments.count)]
                if random.nextBool(probability: 0.1) { bytes = [UInt8(random.next(in: 0..<256))] }
                let isClosed = random.nextBool(probability: 0.01)
                let step = isClosed ? machine.connectionClosed() : machine.received(ByteBuffer(bytes: bytes))
                let buffered = machine.bufferedByteCount
                #expect(buffered < limits.maximumHeadBytes)
                if step != .wait { ends += 1 }
                guard ends < 2 else { break }
            }
            #expect(ends <= 1)
        }
    }

    private static func machine(authorization: String? = nil) -> HTTPTunnelStateMachine {
        HTTPTunnelStateMachine(
            target: TunnelTarget(host: "api.example", port: 443), authorization: authorization, limits: HTTP1Limits())
    }

    /// Passes the pieces of an answer to a machine. The first end counts.
    private static func end(of pieces: [ArraySlice<UInt8>], limits: HTTP1Limits = HTTP1Limits()) -> End {
        var machine = HTTPTunnelStateMachine(
            target: TunnelTarget(host: "api.example", port: 443), authorization: nil, limits: limits)
        _ = machine.begin()
        for piece in pieces {
            let end = End(machine.received(ByteBuffer(bytes: piece)))
            if end != .none { return end }
        }
        return .none
    }
}
