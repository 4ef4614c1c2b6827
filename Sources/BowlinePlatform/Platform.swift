// The C library of the platform. Only the files of this module ask which platform it is; every other file imports
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

/// Names for what the platforms call differently.
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

    /// What `getaddrinfo` returns for a name that exists and has no address; nil: nothing of its own.
    #if canImport(Glibc)
        // EAI_NODATA, which the headers show to GNU sources only.
        package static let noAddressError: CInt? = -5
    #else
        package static let noAddressError: CInt? = nil
    #endif
}
