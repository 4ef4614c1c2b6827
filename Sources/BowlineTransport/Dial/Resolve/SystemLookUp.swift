package import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// One call of `getaddrinfo`. Blocks until the system answers.
package enum SystemLookUp {
    /// How long the system's answers are valid. `getaddrinfo` does not say it.
    private static let validity = Duration.seconds(30)

    /// Returns the addresses of `host` that belong to `family`, in the system's order. Empty: the host has no address
    /// of this family.
    ///
    /// If a name of `/etc/hosts` has only addresses of the other family, glibc goes on to the name servers and then
    /// reports that there is no such name. So `noSuchHost` for one family does not mean that the name has no address of
    /// the other.
    package static func addresses(
        of host: String, _ family: IPAddress.Family
    ) -> Result<ResolvedAddresses, NameLookupError> {
        var hints = addrinfo()
        hints.ai_family = family == .v4 ? AF_INET : AF_INET6
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
            return answer(status, systemError) { SpareResources.lackOfDescriptors(descriptorsOfLookUp) }
        }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next?.pointee {
            if entry.ai_family == hints.ai_family, let address = address(of: entry) { addresses.append(address) }
            next = entry.ai_next
        }
        return .success(ResolvedAddresses(addresses, validFor: validity))
    }

    private static func address(of entry: addrinfo) -> IPAddress? {
        if let number = AddressInfo.ipv4(entry) { return IPAddress(v4: number) }
        return AddressInfo.ipv6(entry).map { address in
            IPAddress(v6High: address.high, low: address.low, zone: address.scope == 0 ? nil : "\(address.scope)")
        }
    }

    /// The number of descriptors that a look-up needs: one for a file of the resolver, and one for a socket to a name
    /// server.
    private static let descriptorsOfLookUp = 2

    /// Returns the meaning of a status of `getaddrinfo` other than 0: a failure, or an empty answer if the name has no
    /// address of the family. glibc reports "no such name" even if it had no descriptor to open `/etc/resolv.conf` or
    /// `/etc/nsswitch.conf`. So this function checks for a lack of resources before it uses the status.
    ///
    /// - Parameters:
    ///   - systemError: The `errno` after the look-up; 0: none.
    ///   - lackOfDescriptors: Returns why the process cannot open the descriptors of a look-up; nil: it can open them.
    package static func answer(
        _ status: CInt, _ systemError: CInt, lackOfDescriptors: () -> String?
    ) -> Result<ResolvedAddresses, NameLookupError> {
        if IOError.isLackOfResources(systemError) {
            return .failure(NameLookupError(.noResources, String(cString: strerror(systemError))))
        }
        if let reason = lackOfDescriptors() { return .failure(NameLookupError(.noResources, reason)) }
        if Platform.noAddressErrors.contains(status) { return .success(ResolvedAddresses([], validFor: validity)) }
        return .failure(error(status, systemError))
    }

    private static func error(_ status: CInt, _ systemError: CInt) -> NameLookupError {
        let words = gai_strerror(status).map { String(cString: $0) } ?? "error \(status)"
        switch status {
        case EAI_NONAME: return NameLookupError(.noSuchHost, words)
        case EAI_AGAIN: return NameLookupError(.temporary, words)
        case EAI_MEMORY: return NameLookupError(.noResources, words)
        case EAI_SYSTEM: return NameLookupError(.other, String(cString: strerror(systemError)))
        default: return NameLookupError(.other, words)
        }
    }
}

extension IOError {
    /// Whether the error says that the process or the machine has no descriptors or memory left.
    static func isLackOfResources(_ code: CInt) -> Bool {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code)
    }
}
