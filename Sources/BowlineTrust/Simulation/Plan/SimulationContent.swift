internal import NIOCore

/// The bodies, targets and fields of calls. All follow from the call's number, so that both sides know what must
/// arrive.
enum SimulationContent {
    /// The message that a body belongs to. Both bodies of a call differ.
    enum Part: Int, Sendable {
        case request = 3, answer = 101
    }

    static let numberField = "x-call"
    static let arrivalField = "x-arrival"
    /// The field that says whether the service executed the request.
    static let executedField = "x-executed"
    /// The field that says how the answer's body is delimited over HTTP/1.1.
    static let framingField = "x-framing"
    private static let prefix = "/c/"

    /// The path of a call's request; `hop` counts the redirects before it.
    static func target(_ number: Int, hop: Int = 0) -> String {
        hop == 0 ? "\(prefix)\(number)" : "\(prefix)\(number)/\(hop)"
    }

    /// The call and the hop that a request belongs to. nil: the target is none of the simulation.
    static func call(ofTarget target: some StringProtocol) -> (number: Int, hop: Int)? {
        guard target.hasPrefix(prefix) else { return nil }
        let parts = target.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let number = parts.first.flatMap({ Int($0) }), parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (number, 0) }
        return Int(parts[1]).map { (number, $0) }
    }

    /// The bytes of a body from `offset` on.
    static func bytes(_ number: Int, _ part: Part, from offset: Int = 0, count: Int) -> ByteBuffer {
        let first = number &* 31 &+ part.rawValue
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        for index in offset..<(offset + max(0, count)) {
            buffer.writeInteger(UInt8(truncatingIfNeeded: first &+ index &* 7 &+ (index >> 8) &* 13))
        }
        return buffer
    }
}
