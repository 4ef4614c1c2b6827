/// The bytes of one fuzz input: what the peer sends, followed by the numbers that say how it arrives.
///
/// Numbers are taken from the end, so that a seed begins with readable text. With no byte left, every number is the lowest
/// that was asked for.
struct FuzzInput {
    private var bytes: [UInt8]

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = Array(bytes)
    }

    /// What the peer sends: everything that no number was taken from.
    var content: [UInt8] { bytes }

    /// Takes a number of at most 65,536 values off the end: one byte if the range has up to 256 values, else two.
    mutating func takeNumber(in range: ClosedRange<Int>) -> Int {
        let values = range.upperBound - range.lowerBound + 1
        var number = Int(bytes.popLast() ?? 0)
        if values > 256 { number = number << 8 | Int(bytes.popLast() ?? 0) }
        return range.lowerBound + number % values
    }

    /// Takes one bit's worth of a decision off the end.
    mutating func takeFlag() -> Bool { takeNumber(in: 0...1) == 1 }

    /// Takes the places to cut the content at, up to 15 of them; the last number that may be taken.
    mutating func takeCuts() -> Cuts {
        let count = takeNumber(in: 0...16)
        // The highest count stands for every byte alone.
        guard count < 16 else { return .everyByte }
        let numbers = (0..<count).map { _ in takeNumber(in: 0...65_535) }
        return .at(numbers.map { $0 % (bytes.count + 1) }.sorted())
    }
}

/// Where a network cuts the bytes of a peer.
enum Cuts {
    case everyByte
    /// In rising order; a place named twice makes no empty piece.
    case at([Int])

    /// The pieces in the order of their arrival; none is empty.
    func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        switch self {
        case .everyByte: return bytes.indices.map { bytes[$0...$0] }
        case .at(let places):
            var pieces: [ArraySlice<UInt8>] = []
            var start = 0
            for place in places + [bytes.count] where place > start && place <= bytes.count {
                pieces.append(bytes[start..<place])
                start = place
            }
            return pieces
        }
    }
}
