import BowlineCall
import BowlineCore
import NIOCore

/// Decompression: small steps, bounded output, the same result however the body is cut, and always an end.
///
/// Content: the coded body. Numbers: the codings, whether the limit is a ratio or a size, the limit, the cuts.
enum InflateTarget {
    private enum Ending: Equatable {
        case over, failed
    }

    private struct Decoded: Equatable {
        var ending: Ending
        /// Empty after a failure, because the bytes before the failure depend on the cuts.
        var bytes: [UInt8]
    }

    static func check(_ input: FuzzInput) throws {
        var input = input
        let codings = (0...input.takeNumber(in: 0...2)).map { _ in
            input.takeFlag() ? ContentCoding.deflate : ContentCoding.gzip
        }
        let isBoundByRatio = input.takeFlag()
        var options = DecompressionOptions()
        options.maximumRatio = isBoundByRatio ? input.takeNumber(in: 1...16) : nil
        options.maximumBytes = isBoundByRatio ? nil : input.takeNumber(in: 0...65_535)
        let cuts = input.takeCuts()
        let bytes = input.content

        let whole = try decode([bytes[...]], codings, options)
        // With a ratio, the limit depends on how many bytes have arrived, so the cuts change the result.
        guard !isBoundByRatio else { return }
        let cut = try decode(cuts.pieces(of: bytes), codings, options)
        try promise(
            whole == cut, "whole \(whole.ending), \(whole.bytes.count) bytes; cut \(cut.ending), \(cut.bytes.count)")
    }

    private static func decode(
        _ pieces: [ArraySlice<UInt8>], _ codings: [ContentCoding], _ options: DecompressionOptions
    ) throws -> Decoded {
        var run = DecodingRun(codings, options)
        for piece in pieces {
            guard try run.receive(piece) else { return Decoded(ending: .failed, bytes: []) }
        }
        guard try run.end() else { return Decoded(ending: .failed, bytes: []) }
        return Decoded(ending: .over, bytes: run.output)
    }
}

/// Passes pieces to a decompressor, as a response's body does, and checks each step.
private struct DecodingRun {
    private var decompressor: BodyDecompressor
    private let options: DecompressionOptions
    private var received = 0
    private(set) var output: [UInt8] = []

    init(_ codings: [ContentCoding], _ options: DecompressionOptions) {
        decompressor = BodyDecompressor(codings, options: options)
        self.options = options
    }

    /// Returns whether the decompressor has accepted the body so far.
    mutating func receive(_ piece: ArraySlice<UInt8>) throws -> Bool {
        received += piece.count
        decompressor.received(ByteBuffer(bytes: piece))
        return try drain(isOver: false)
    }

    mutating func end() throws -> Bool {
        decompressor.inputEnded()
        return try drain(isOver: true)
    }

    private mutating func drain(isOver: Bool) throws -> Bool {
        while true {
            let step: BodyDecompressor.Step
            do throws(DecodingFailure) {
                step = try decompressor.step()
            } catch {
                return false
            }
            switch step {
            case .needsInput:
                try promise(!isOver, "a body that has arrived to its end needs no more input")
                return true
            case .over:
                try promise(isOver, "a body is not over before its end has arrived")
                return true
            case .output(let bytes):
                let count = bytes.readableBytes
                try promise((1...DecodingLayer.largestStep).contains(count), "a step yields \(count) bytes")
                output += bytes.readableBytesView
                try checkBounds()
            }
        }
    }

    private func checkBounds() throws {
        if let maximum = options.maximumBytes {
            try promise(output.count <= maximum, "\(output.count) bytes are decoded, the limit is \(maximum)")
        }
        if let ratio = options.maximumRatio {
            let bound = max(BodyDecompressor.ratioThreshold, ratio * received)
            try promise(
                output.count <= bound, "\(output.count) bytes are decoded of \(received), the limit is \(bound)")
        }
    }
}
