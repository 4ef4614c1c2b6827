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

    /// The error that `getaddrinfo` returns for a name that exists but has no address; nil: the platform has no such
    /// error.
    #if canImport(Glibc)
        // EAI_NODATA. The headers declare it for GNU sources only.
        package static let noAddressError: CInt? = -5
    #else
        package static let noAddressError: CInt? = nil
    #endif
}
