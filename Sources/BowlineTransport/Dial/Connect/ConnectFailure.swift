internal import BowlineCore

/// The reason why a connect failed: no address was found, or every address failed.
///
/// It keeps the errors of the first eight failed attempts, the first refusal, and one error for each look-up. So its
/// size does not depend on the number of addresses.
struct ConnectFailure: Error {
    /// The kind of an attempt's error, as far as it matters for the dial's error.
    enum Kind: Sendable, Hashable {
        /// The peer refused the connection: ECONNREFUSED.
        case refused
        /// This machine lacked a descriptor, a port or memory.
        case resources
        case other
    }

    /// A failed attempt.
    struct Attempt: Sendable {
        let address: IPAddress
        let error: any Error
    }

    /// How many failed attempts are kept.
    static let keptAttempts = 8

    /// The first failed attempts, in the order in which they failed.
    private(set) var attempts: [Attempt] = []
    /// How many attempts failed, including those that are not kept.
    private(set) var attemptCount = 0
    private var firstRefusal: (any Error)?
    private var shortages = 0
    private var ipv4LookUpError: (any Error)?
    private var ipv6LookUpError: (any Error)?

    /// Whether there were attempts and each of them failed for lack of resources.
    var isLackOfResources: Bool { attemptCount > 0 && shortages == attemptCount }

    /// The error that describes the failed attempts: the first refusal, else the first error. nil: there was no
    /// attempt, and `lookUpError` describes the failure.
    var attemptError: (any Error)? { firstRefusal ?? attempts.first?.error }

    /// The error that describes the look-ups: an error other than "no address" if there is one, and IPv4's before
    /// IPv6's. If both look-ups succeeded without an address, it is `NameLookupError(.noAddress)`.
    var lookUpError: any Error {
        let errors = [ipv4LookUpError, ipv6LookUpError].compactMap { $0 }
        let telling = errors.first { ($0 as? NameLookupError)?.reason != .noAddress }
        return telling ?? errors.first ?? NameLookupError(.noAddress)
    }

    /// The addresses that were tried, at most eight by name, for example `192.0.2.1, 2001:db8::1`.
    var triedAddresses: String {
        let names = attempts.map { String($0.address.description.prefix(64)) }.joined(separator: ", ")
        let others = attemptCount - attempts.count
        return others == 0 ? names : "\(names) and \(others) more"
    }

    mutating func record(_ address: IPAddress, _ error: any Error, _ kind: Kind) {
        attemptCount += 1
        if kind == .refused, firstRefusal == nil { firstRefusal = error }
        if kind == .resources { shortages += 1 }
        if attempts.count < Self.keptAttempts { attempts.append(Attempt(address: address, error: error)) }
    }

    mutating func recordLookUp(_ family: IPAddress.Family, _ error: any Error) {
        switch family {
        case .v4: ipv4LookUpError = error
        case .v6: ipv6LookUpError = error
        }
    }
}
