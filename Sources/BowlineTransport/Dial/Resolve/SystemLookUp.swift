internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// One call of `getaddrinfo`. Blocks until the system answers.
package enum SystemLookUp {
    /// Returns the IPv4 and IPv6 addresses of `host`, in the system's order.
    package static func addresses(of host: String) -> Result<ResolvedAddresses, NameLookupError> {
        var hints = addrinfo()
        // Asks for one entry per address. Otherwise there would be one per address and protocol.
        hints.ai_socktype = Platform.streamSocket
        hints.ai_protocol = CInt(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        // Clears `errno`, so that its later value comes from this look-up.
        errno = 0
        let status = getaddrinfo(host, nil, &hints, &list)
        let systemError = errno
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0 else {
            return .failure(
                error(status, systemError) { SpareResources.lackOfDescriptors(descriptorsOfLookUp) })
        }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = address(of: entry) { addresses.append(address) }
            next = entry.ai_next
        }
        return addresses.isEmpty ? .failure(NameLookupError(.noAddress)) : .success(ResolvedAddresses(addresses))
    }

    private static func address(of entry: addrinfo) -> SocketAddress? {
        guard let bytes = entry.ai_addr.map({ UnsafeRawPointer($0) }) else { return nil }
        switch entry.ai_family {
        case AF_INET: return SocketAddress(bytes.loadUnaligned(as: sockaddr_in.self))
        case AF_INET6: return SocketAddress(bytes.loadUnaligned(as: sockaddr_in6.self))
        default: return nil
        }
    }

    /// The number of descriptors that a look-up needs: one for a file of the resolver, and one for a socket to a name
    /// server.
    private static let descriptorsOfLookUp = 2

    /// Returns the meaning of a `getaddrinfo` failure. glibc reports "no such name" even if it had no descriptor to
    /// open `/etc/resolv.conf` or `/etc/nsswitch.conf`. So this function checks for a lack of resources before it uses
    /// the status.
    ///
    /// - Parameters:
    ///   - systemError: The `errno` after the look-up; 0: none.
    ///   - lackOfDescriptors: Returns why the process cannot open the descriptors of a look-up; nil: it can open them.
    package static func error(
        _ status: CInt, _ systemError: CInt, lackOfDescriptors: () -> String?
    ) -> NameLookupError {
        if IOError.isLackOfResources(systemError) {
            return NameLookupError(.noResources, String(cString: strerror(systemError)))
        }
        if let reason = lackOfDescriptors() { return NameLookupError(.noResources, reason) }
        let words = gai_strerror(status).map { String(cString: $0) } ?? "error \(status)"
        switch status {
        case EAI_NONAME: return NameLookupError(.noSuchHost, words)
        case EAI_AGAIN: return NameLookupError(.temporary, words)
        case EAI_MEMORY: return NameLookupError(.noResources, words)
        case EAI_SYSTEM: return NameLookupError(.other, String(cString: strerror(systemError)))
        default: return NameLookupError(status == Platform.noAddressError ? .noAddress : .other, words)
        }
    }
}

extension IOError {
    /// Whether the error says that the process or the machine has no descriptors or memory left.
    static func isLackOfResources(_ code: CInt) -> Bool {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code)
    }
}
