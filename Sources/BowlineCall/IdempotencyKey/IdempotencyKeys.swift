internal import BowlineCore

/// Gives a POST or PATCH an `Idempotency-Key`: one per call, the same on each attempt and hop.
///
/// The field makes the request idempotent, so that it may be sent again.
struct IdempotencyKeys: Sendable {
    private let isDefault: Bool
    private let random: @Sendable () -> Double

    /// - Parameters:
    ///   - isDefault: Whether a request gets a key if its own options do not decide it.
    ///   - random: Numbers from 0 up to 1.
    init(isDefault: Bool, random: @escaping @Sendable () -> Double) {
        self.isDefault = isDefault
        self.random = random
    }

    /// Adds a key to a request that needs one and has none.
    func apply(to request: inout ServiceRequest) {
        guard request.ownOptions?.value.makesIdempotencyKey ?? isDefault,
            request.method == .post || request.method == .patch, !request.fields.contains(.idempotencyKey)
        else { return }
        request.fields[.idempotencyKey] = makeKey()
    }

    /// A random (version 4) UUID in lower case (RFC 9562 §5.4).
    private func makeKey() -> String {
        var high = UInt64(word()) << 32 | UInt64(word())
        var low = UInt64(word()) << 32 | UInt64(word())
        high = high & ~0xF000 | 0x4000
        low = low & ~(0b11 << 62) | 0b10 << 62
        let digits = Self.hexadecimal(high) + Self.hexadecimal(low)
        var key = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { key.append("-") }
            key.append(digit)
        }
        return key
    }

    /// Returns 32 random bits. If the random source returns a number out of range, all bits are 0.
    private func word() -> UInt32 {
        UInt32(exactly: (random() * 0x1p32).rounded(.down)) ?? 0
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
