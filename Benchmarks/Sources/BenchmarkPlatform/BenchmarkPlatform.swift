// The C library of the platform. Only this file asks which platform it is; the other targets import `BenchmarkPlatform`.
#if canImport(Glibc)
    @_exported import Glibc
#elseif canImport(Musl)
    @_exported import Musl
#else
    @_exported import Darwin
#endif
