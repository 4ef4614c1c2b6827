/// The bytes of one fuzz input: the peer's bytes, followed by numbers, such as the places where the bytes are cut.
///
/// Numbers are taken from the end, so that a seed begins with readable text. When no byte is left, every number is the
/// lowest of its range.
struct FuzzInput {
    private var bytes: [UInt8]

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = Array(bytes)
    }

    /// The peer's bytes: all bytes that no number was taken from.
    var content: [UInt8] { bytes }

    /// Takes a number from the end. The range may have at most 65,536 values: up to 256 values take one byte, more take
    /// two.
    mutating func takeNumber(in range: ClosedRange<Int>) -> Int {
        let values = range.upperBound - range.lowerBound + 1
        var number = Int(bytes.popLast() ?? 0)
        if values > 256 { number = number << 8 | Int(bytes.popLast() ?? 0) }
        return range.lowerBound + number % values
    }

    /// Takes a Boolean from the end, in one byte.
    mutating func takeFlag() -> Bool { takeNumber(in: 0...1) == 1 }

    /// Takes the places to cut the content at, up to 15. Take no other number after it.
    mutating func takeCuts() -> Cuts {
        let count = takeNumber(in: 0...16)
        // The highest count means a cut after every byte.
        guard count < 16 else { return .everyByte }
        let numbers = (0..<count).map { _ in takeNumber(in: 0...65_535) }
        return .at(numbers.map { $0 % (bytes.count + 1) }.sorted())
    }
}

/// The places where the network cuts a peer's bytes.
enum Cuts {
    case everyByte
    /// In ascending order. A repeated place makes no empty piece.
    case at([Int])

    /// Returns the pieces in the order of their arrival. No piece is empty.
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
