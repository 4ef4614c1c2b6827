/// Makes the structures in which the system's calls take an address and a port.
package enum SocketName {
    /// - Parameter number: The address as a number, for example `0x7F00_0001` for 127.0.0.1.
    package static func ipv4(_ number: UInt32, port: Int) -> sockaddr_in {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        name.sin_addr.s_addr = number.bigEndian
        return name
    }

    /// - Parameters:
    ///   - high: The first 8 bytes of the address as a number, most significant byte first.
    ///   - low: The last 8 bytes.
    package static func ipv6(high: UInt64, low: UInt64, port: Int) -> sockaddr_in6 {
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = in_port_t(truncatingIfNeeded: port).bigEndian
        withUnsafeMutableBytes(of: &name.sin6_addr) { bytes in
            bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return name
    }
}
