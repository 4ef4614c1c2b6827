import BowlineCore
import BowlineTransport
import NIOCore

/// The tunnels through proxies: one end, the same however the bytes are cut, and bounded memory.
///
/// Content: the bytes of a proxy. Numbers: the kind of proxy (HTTP, SOCKS5, SOCKS5 with credentials), whether the proxy
/// closes, the cuts.
enum ProxiesTarget {
    private static let target = TunnelTarget(host: "api.example", port: 443)
    private static let credentials = ProxyCredentials(user: "fuzz-user", password: "fuzz-password")
    /// The same credentials in a field.
    private static let authorization = "Basic ZnV6ei11c2VyOmZ1enotcGFzc3dvcmQ="

    static func check(_ input: FuzzInput) throws {
        var input = input
        let kind = input.takeNumber(in: 0...2)
        let isClosed = input.takeFlag()
        let cuts = input.takeCuts()
        let bytes = input.content

        let single = try run(kind, Cuts.everyByte.pieces(of: bytes), isClosed: isClosed)
        for pieces in [[bytes[...]], cuts.pieces(of: bytes)] {
            let end = try run(kind, pieces, isClosed: isClosed)
            // The pieces of a SOCKS proxy may join answers whose requests are not written yet.
            let isSame = end == single || (kind != 0 && end == .failed(.bytesBehindAnswer))
            try promise(isSame, "byte by byte: \(single), in \(pieces.count) pieces: \(end)")
        }
    }

    private static func run(_ kind: Int, _ pieces: [ArraySlice<UInt8>], isClosed: Bool) throws -> TunnelStep {
        guard kind == 0 else {
            let machine = SOCKSStateMachine(target: target, credentials: kind == 2 ? credentials : nil)
            return try run(machine, pieces, isClosed: isClosed, most: 261)
        }
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = 200
        limits.maximumFields = 4
        limits.maximumInformationalResponses = 2
        let machine = HTTPTunnelStateMachine(target: target, authorization: authorization, limits: limits)
        return try run(machine, pieces, isClosed: isClosed, most: limits.maximumHeadBytes - 1)
    }

    /// Passes the pieces to a machine, and checks it after each. Returns the end of the tunnel; `wait`: there is none.
    private static func run<Machine: TunnelMachine & ~Copyable>(
        _ machine: consuming Machine, _ pieces: [ArraySlice<UInt8>], isClosed: Bool, most: Int
    ) throws -> TunnelStep {
        guard case .write = machine.begin() else { throw FuzzViolation("no first message") }
        var end = TunnelStep.wait
        var written = 0
        for piece in pieces {
            let step = machine.received(ByteBuffer(bytes: piece))
            let kept = machine.bufferedByteCount
            try promise(kept <= most, "\(kept) bytes are kept, the limits allow \(most)")
            try promise(end == .wait || step == .wait, "\(step) follows \(end)")
            switch step {
            case .wait:
                // Bytes in the next piece are the origin's. For the comparison they count as bytes behind the answer.
                if end == .opened { end = .failed(.bytesBehindAnswer) }
            case .write: written += 1
            case .opened, .failed: end = step
            }
        }
        if isClosed {
            let step = machine.connectionClosed()
            try promise((step == .wait) == (end != .wait), "closed after \(end): \(step)")
            if end == .wait { end = step }
        }
        try promise(written <= 2, "\(written) messages after the first")
        if case .failed(let failure) = end { try check(failure) }
        return end
    }

    private static func check(_ failure: ProxyFailure) throws {
        let text = failure.description
        try promise(text.utf8.count < 250, "a failure is described in few words: \(text)")
        try promise(FuzzGrammar.isPrintable(text), "a failure has a control character: \(text)")
        try promise(!text.contains("fuzz-"), "a failure shows credentials: \(text)")
    }
}
