import BowlineTransport

/// The HTTP/1.1 parser: the same message however the bytes are cut, bounded memory, and always an end.
///
/// Content: the bytes of a server. Numbers: the kind of request, whether the server closes, whether the limits are small, the
/// cuts.
enum ResponseTarget {
    static func check(_ input: FuzzInput) throws {
        var input = input
        let kinds: [RequestKind] = [.other, .head, .connect, .upgrade]
        let kind = kinds[input.takeNumber(in: 0...3)]
        let isClosed = input.takeFlag()
        let limits = input.takeFlag() ? smallLimits(&input) : HTTP1Limits()
        let cuts = input.takeCuts()
        let bytes = input.content

        let whole = try ResponseRun.read([bytes[...]], to: kind, limits: limits, isClosed: isClosed)
        for way in [cuts, .everyByte] {
            let cut = try ResponseRun.read(way.pieces(of: bytes), to: kind, limits: limits, isClosed: isClosed)
            guard !cut.isSame(as: whole) else { continue }
            throw FuzzViolation("whole: \(whole), cut: \(cut)")
        }
    }

    private static func smallLimits(_ input: inout FuzzInput) -> HTTP1Limits {
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = input.takeNumber(in: 1...256)
        limits.maximumTrailerBytes = input.takeNumber(in: 1...64)
        limits.maximumFields = input.takeNumber(in: 0...8)
        limits.maximumTrailerFields = input.takeNumber(in: 0...4)
        limits.maximumInformationalResponses = input.takeNumber(in: 0...3)
        limits.maximumChunkExtensionBytes = input.takeNumber(in: 0...16)
        limits.maximumChunkExtensionSurplus = input.takeNumber(in: 0...64)
        limits.maximumContentCodings = input.takeNumber(in: 0...3)
        return limits
    }
}
