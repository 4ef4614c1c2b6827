/// Reads the address of an entry that `getaddrinfo` returns.
package enum AddressInfo {
    /// The number of an IPv4 address; nil: the entry has another family.
    package static func ipv4(_ entry: addrinfo) -> UInt32? {
        guard entry.ai_family == AF_INET, let bytes = entry.ai_addr.map({ UnsafeRawPointer($0) }) else { return nil }
        return UInt32(bigEndian: bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr)
    }

    /// The two halves of an IPv6 address's number, and the number of its interface, 0 without one; nil: the entry has
    /// another family.
    package static func ipv6(_ entry: addrinfo) -> (high: UInt64, low: UInt64, scope: UInt32)? {
        guard entry.ai_family == AF_INET6, let bytes = entry.ai_addr.map({ UnsafeRawPointer($0) }) else { return nil }
        let socket = bytes.loadUnaligned(as: sockaddr_in6.self)
        return withUnsafeBytes(of: socket.sin6_addr) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)), socket.sin6_scope_id
            )
        }
    }
}
