package import BowlineCore

/// Gives a POST or PATCH an `Idempotency-Key`: one per call, the same on each attempt and hop, so outside of both.
///
/// Carrying one makes the request idempotent: what stands further in may send it again.
package struct IdempotencyKeyMiddleware: SelectiveMiddleware {
    private let isDefault: Bool
    private let random: @Sendable () -> Double

    /// - Parameters:
    ///   - isDefault: Whether a request that does not say gets one.
    ///   - random: Numbers from 0 up to 1.
    package init(isDefault: Bool, random: @escaping @Sendable () -> Double) {
        self.isDefault = isDefault
        self.random = random
    }

    package func concerns(_ request: ServiceRequest) -> Bool {
        (request.ownOptions?.value.makesIdempotencyKey ?? isDefault)
            && (request.method == .post || request.method == .patch)
            && !request.fields.contains(.idempotencyKey)
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        guard concerns(request) else { return try await next(request, context: context) }
        var request = request
        request.fields[.idempotencyKey] = makeKey()
        return try await next(request, context: context)
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

    /// 32 bits; a source that yields something else than it should makes a poor key, and nothing worse.
    private func word() -> UInt32 {
        UInt32(exactly: (random() * 0x1p32).rounded(.down)) ?? 0
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
