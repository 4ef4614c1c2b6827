package import BowlineCore

/// Decodes one coding, step by step.
///
/// | phase | input | end of input |
/// |---|---|---|
/// | start | inflating, once the envelope can be recognised | over if there was no input, else truncated |
/// | inflating | inflating, or finished at the end of the data | truncated |
/// | finished | gzip: inflating (the next member), or padded if a zero byte follows; deflate: trailing bytes | over |
/// | padded | padded if all bytes are zero, else trailing bytes | over |
package final class DecodingLayer {
    private enum Phase {
        case start
        case inflating(Inflater)
        case finished(Inflater)
        /// Zero bytes follow the gzip data. They are padding, as in tape blocks and from some servers.
        case padded
    }

    /// The result of a step.
    package enum Step {
        case output(ByteBuffer)
        case needsInput
        case over
    }

    let coding: ContentCoding
    /// How many bytes the layer has yielded.
    private(set) var yielded = 0
    private var phase = Phase.start
    private var input = ByteBuffer()
    private var isInputOver = false
    /// Whether the last step filled its output, so that zlib may have more output.
    private var hasMoreOutput = false

    init(_ coding: ContentCoding) {
        self.coding = coding
    }

    /// More of the coded data has arrived.
    func received(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.writeImmutableBuffer(bytes)
        }
    }

    /// There is no more coded data.
    func inputEnded() {
        isInputOver = true
    }

    /// Decodes a part of the data.
    ///
    /// - Parameter limit: The maximum number of bytes to yield, at least 1.
    func step(limit: Int) throws(DecodingFailure) -> Step {
        while true {
            switch phase {
            case .start:
                guard let envelope else {
                    guard isInputOver else { return .needsInput }
                    guard input.readableBytes == 0 else { throw .truncated(coding) }
                    return .over
                }
                phase = .inflating(try Inflater(envelope))
            case .inflating(let inflater):
                guard input.readableBytes > 0 || hasMoreOutput else {
                    guard isInputOver else { return .needsInput }
                    throw .truncated(coding)
                }
                if let output = try inflate(inflater, limit: limit) { return .output(output) }
            case .finished(let inflater):
                guard input.readableBytes > 0 else { return isInputOver ? .over : .needsInput }
                guard coding == .gzip else { throw .trailingBytes(coding) }
                switch input.readableBytesView.first {
                case Self.gzipMagic:
                    inflater.reset()
                    phase = .inflating(inflater)
                case 0: phase = .padded
                default: throw .trailingBytes(coding)
                }
            case .padded:
                guard input.readableBytesView.allSatisfy({ $0 == 0 }) else { throw .trailingBytes(coding) }
                input = ByteBuffer()
                return isInputOver ? .over : .needsInput
            }
        }
    }

    private func inflate(_ inflater: Inflater, limit: Int) throws(DecodingFailure) -> ByteBuffer? {
        var output = ByteBuffer()
        let room = min(limit, hasMoreOutput ? Self.largestStep : Self.room(for: input.readableBytes))
        let step = try inflater.step(&input, into: &output, room: room, coding: coding)
        hasMoreOutput = step.isFull
        if step.isAtEnd { phase = .finished(inflater) }
        yielded += output.readableBytes
        return output.readableBytes > 0 ? output : nil
    }

    /// The largest output of one step, in bytes.
    package static let largestStep = 16_384

    private static let gzipMagic: UInt8 = 0x1F

    /// Returns the size of the output buffer. The buffer is small for little input: a reader may keep all chunks, and
    /// each chunk keeps its whole buffer.
    private static func room(for count: Int) -> Int {
        count >= largestStep / 8 ? largestStep : max(256, count * 8)
    }

    /// The format around the compressed data; nil: too few bytes have arrived to recognise it.
    ///
    /// `deflate` means zlib's envelope (RFC 9110 §8.4.1.2), but some servers omit it. The first two bytes of a zlib
    /// header are a multiple of 31 and contain the method 8. Raw data with such a beginning would be a stored block
    /// with padding that no compressor writes.
    private var envelope: Inflater.Envelope? {
        guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return nil }
        guard coding == .deflate else { return .gzip }
        guard first & 0x0F == 8, first >> 4 <= 7 else { return .raw }
        guard let header = input.getInteger(at: input.readerIndex, as: UInt16.self) else { return nil }
        return header % 31 == 0 ? .zlib : .raw
    }
}
