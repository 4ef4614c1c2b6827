package import BowlineCore

/// Decodes a body with one or several codings, in steps of limited size. The coding that was applied last is decoded
/// first.
///
/// Pure: it has no task and no clock. It keeps the last chunk that it received. For each layer it keeps the output of
/// one step and zlib's window. So its memory depends neither on the size of the body nor on the size of the decoded
/// body.
package struct BodyDecompressor {
    package typealias Step = DecodingLayer.Step

    /// The layers of the codings; the last applied coding comes first.
    private let layers: [DecodingLayer]
    private let maximumBytes: Int
    private let maximumRatio: Int?
    private var receivedBytes = 0

    /// - Parameter codings: The codings in the order in which they were applied; at least one.
    package init(_ codings: [ContentCoding], options: DecompressionOptions) {
        layers = codings.reversed().map(DecodingLayer.init)
        // Middleware may set any value, and the value is not checked again. So no value may trap.
        maximumBytes = max(options.maximumBytes ?? .max, 0)
        maximumRatio = options.maximumRatio.map { max($0, 1) }
    }

    /// The ratio of decoded to received bytes is limited only for decoded bodies above this size.
    package static let ratioThreshold = 1 << 20

    /// The next chunk has arrived. Call this only after ``step()`` has returned `needsInput`.
    package mutating func received(_ chunk: ByteBuffer) {
        receivedBytes += chunk.readableBytes
        layers[0].received(chunk)
    }

    /// The whole body has arrived.
    package func inputEnded() {
        layers[0].inputEnded()
    }

    /// Decodes at most 16 KiB.
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

    /// Returns the maximum output of the layer's next step. One byte beyond the limit is enough to detect that the
    /// limit is exceeded.
    private func room(for layer: DecodingLayer) -> Int {
        let rest = maximumBytes - layer.yielded
        return rest < DecodingLayer.largestStep ? rest + 1 : DecodingLayer.largestStep
    }

    /// Checks the total output of a layer. Layers that only feed another layer are limited too, because their output
    /// costs time.
    private func checkLimits(of layer: DecodingLayer) throws(DecodingFailure) {
        guard layer.yielded <= maximumBytes else { throw .tooManyBytes(limit: maximumBytes) }
        guard let maximumRatio, layer.yielded > Self.ratioThreshold else { return }
        // Fails if `yielded` is more than `maximumRatio` times `receivedBytes`. The check divides, because a product
        // could overflow.
        guard (layer.yielded - 1) / maximumRatio < receivedBytes else { throw .ratioTooHigh(limit: maximumRatio) }
    }
}
