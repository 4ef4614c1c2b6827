// The C library of the platform. Only the files of this module check the platform; all other files import
// `BowlinePlatform`.
#if canImport(Glibc)
    @_exported public import Glibc
#elseif canImport(Musl)
    @_exported public import Musl
#elseif canImport(Bionic)
    @_exported public import Bionic
#elseif canImport(Darwin)
    @_exported public import Darwin
#endif

/// Constants that differ between the platforms.
package enum Platform {
    /// The clock that SwiftNIO's event loops run on.
    #if canImport(Darwin)
        package static let monotonicClock = CLOCK_UPTIME_RAW
    #else
        package static let monotonicClock = CLOCK_MONOTONIC
    #endif

    /// The type of a stream socket (TCP), for `getaddrinfo`.
    #if canImport(Glibc)
        package static let streamSocket = CInt(SOCK_STREAM.rawValue)
    #else
        package static let streamSocket = CInt(SOCK_STREAM)
    #endif

    /// The statuses with which `getaddrinfo` reports that a name exists but has no address of the family: EAI_NODATA and
    /// EAI_ADDRFAMILY. glibc declares both for GNU sources only, and other systems do not declare both.
    #if canImport(Glibc) || canImport(Musl)
        package static let noAddressErrors: [CInt] = [-5, -9]
    #else
        package static let noAddressErrors: [CInt] = [7, 1]
    #endif
}
