package import BowlineCore

/// Undoes the codings of a body, the last applied first, in steps of bounded size.
///
/// Pure: bytes in, bytes out, no task and no clock. Holds the chunk that it was given last, and per layer one step's
/// output and zlib's window; so its memory depends neither on the body's size nor on how much it grows.
package struct BodyDecompressor {
    package typealias Step = DecodingLayer.Step

    /// Outermost, that is last applied, first.
    private let layers: [DecodingLayer]
    private let maximumBytes: Int
    private let maximumRatio: Int?
    private var receivedBytes = 0

    /// - Parameter codings: in the order in which they were applied; at least one.
    package init(_ codings: [ContentCoding], options: DecompressionOptions) {
        layers = codings.reversed().map(DecodingLayer.init)
        // Middleware may set any value, and it is not checked again: no value may trap.
        maximumBytes = max(options.maximumBytes ?? .max, 0)
        maximumRatio = options.maximumRatio.map { max($0, 1) }
    }

    /// Bodies up to this size may be any number of times larger than their received bytes.
    package static let ratioThreshold = 1 << 20

    /// The next chunk has arrived; everything before it has been decoded.
    package mutating func received(_ chunk: ByteBuffer) {
        receivedBytes += chunk.readableBytes
        layers[0].received(chunk)
    }

    /// The body has arrived to its end.
    package func inputEnded() {
        layers[0].inputEnded()
    }

    /// Decodes a little: at most 16 KiB.
    package func step() throws(DecodingFailure) -> Step {
        try step(of: layers.count - 1)
    }

    private func step(of index: Int) throws(DecodingFailure) -> Step {
        let layer = layers[index]
        while true {
            let step = try layer.step(limit: room(for: layer))
            switch step {
            case .over: return step
            case .output:
                try checkLimits(of: layer)
                return step
            case .needsInput:
                guard index > 0 else { return step }
                switch try self.step(of: index - 1) {
                case .output(let bytes): layer.received(bytes)
                case .over: layer.inputEnded()
                case .needsInput: return step
                }
            }
        }
    }

    /// One byte past the limit is enough to know that it is passed.
    private func room(for layer: DecodingLayer) -> Int {
        let rest = maximumBytes - layer.yielded
        return rest < DecodingLayer.largestStep ? rest + 1 : DecodingLayer.largestStep
    }

    /// Checks the total output of a layer. Inner layers are bounded too: their output costs time, though no reader
    /// gets it.
    private func checkLimits(of layer: DecodingLayer) throws(DecodingFailure) {
        guard layer.yielded <= maximumBytes else { throw .tooManyBytes(limit: maximumBytes) }
        guard let maximumRatio, layer.yielded > Self.ratioThreshold else { return }
        // More than `maximumRatio` times `receivedBytes`, said without a product that could overflow.
        guard (layer.yielded - 1) / maximumRatio < receivedBytes else { throw .ratioTooHigh(limit: maximumRatio) }
    }
}
