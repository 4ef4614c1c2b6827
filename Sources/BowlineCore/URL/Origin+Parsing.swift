internal import BowlinePlatform

extension Origin {
    /// Parses `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
    ///
    /// - Parameter defaultPort: The port of an authority without one; nil: the scheme's.
    init(authority: Substring, scheme: Scheme, defaultPort: Int? = nil) throws {
        if authority.utf8.contains(UInt8(ascii: "@")) {
            throw ServiceError(
                .invalidURL, "URL has user information before its host: send credentials in an Authorization field"
            )
        }
        let (host, portText) = try Self.splitPort(authority)
        let port = try portText.map(Self.parsePort) ?? defaultPort ?? scheme.defaultPort
        if host.utf8.first == UInt8(ascii: "[") {
            let address = try Self.parseIPv6(host)
            self.init(scheme: scheme, host: address, port: port, socketPath: nil, isIPAddress: true)
        } else {
            let name = try Self.parseName(host)
            let isAddress = Self.isAddress(name, family: AF_INET)
            self.init(scheme: scheme, host: name, port: port, socketPath: nil, isIPAddress: isAddress)
        }
    }

    /// Parses the percent-encoded path of a Unix domain socket.
    init(socket: Substring, scheme: Scheme) throws {
        guard let path = PercentEncoding.decode(socket), !path.isEmpty else {
            throw ServiceError(.invalidURL, "URL's host must be the socket's path, percent-encoded")
        }
        for byte in path.utf8 where byte < 0x20 || byte == 0x7F {
            // Descriptions show the path, and a control character could end a log line.
            throw ServiceError(.invalidURL, "URL's socket path has a control character (byte \(byte))")
        }
        // `sun_path` has 108 bytes on Linux and 104 on Darwin, including its terminating NUL.
        guard path.utf8.count <= 103 else {
            throw ServiceError(.invalidURL, "URL's socket path is longer than 103 bytes")
        }
        self.init(scheme: scheme, host: "localhost", port: scheme.defaultPort, socketPath: path, isIPAddress: false)
    }

    private static func splitPort(_ authority: Substring) throws -> (host: Substring, port: Substring?) {
        let afterHost: Substring
        let host: Substring
        if authority.utf8.first == UInt8(ascii: "[") {
            guard let bracket = authority.utf8.firstIndex(of: UInt8(ascii: "]")) else {
                throw ServiceError(.invalidURL, "URL's IPv6 address has no closing bracket")
            }
            let end = authority.utf8.index(after: bracket)
            host = authority[..<end]
            afterHost = authority[end...]
        } else {
            let end = authority.utf8.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
            host = authority[..<end]
            afterHost = authority[end...]
        }
        guard let first = afterHost.utf8.first else { return (host, nil) }
        guard first == UInt8(ascii: ":") else {
            throw ServiceError(.invalidURL, "URL has something other than a port after its IPv6 address")
        }
        let port = Substring(afterHost.utf8.dropFirst())
        // "host:" without digits names the default port (RFC 3986 §3.2.3).
        return (host, port.isEmpty ? nil : port)
    }

    private static func parsePort(_ text: Substring) throws -> Int {
        guard text.utf8.count <= 5, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(text),
            (1...65_535).contains(port)
        else {
            throw ServiceError(.invalidURL, "URL's port must be a number from 1 to 65535")
        }
        return port
    }

    private static func parseName(_ text: Substring) throws -> String {
        guard !text.isEmpty else { throw ServiceError(.invalidURL, "URL has no host") }
        guard text.utf8.count <= 255 else { throw ServiceError(.invalidURL, "URL's host is longer than 255 bytes") }
        for byte in text.utf8 {
            guard byte < 0x80 else {
                throw ServiceError(.invalidURL, "URL's host is not ASCII: give its punycode form (xn--…)")
            }
            guard PercentEncoding.isUnreserved(byte), byte != UInt8(ascii: "~") else {
                throw ServiceError(.invalidURL, "URL's host has a character that a host cannot have (byte \(byte))")
            }
        }
        return text.lowercased()
    }

    private static func parseIPv6(_ bracketed: Substring) throws -> String {
        let inside = Substring(bracketed.utf8.dropFirst().dropLast())
        var address = inside
        var zone = ""
        if let mark = inside.utf8.firstIndex(of: UInt8(ascii: "%")) {
            address = inside[..<mark]
            let rest = inside[mark...]
            // RFC 6874: the zone's separator is itself percent-encoded.
            let name = Substring(rest.utf8.dropFirst(rest.utf8.starts(with: "%25".utf8) ? 3 : 1))
            guard !name.isEmpty, name.utf8.count <= 15, name.utf8.allSatisfy(PercentEncoding.isUnreserved) else {
                throw ServiceError(.invalidURL, "URL's IPv6 zone must be an interface's name or number")
            }
            zone = "%" + name
        }
        guard isAddress(String(address), family: AF_INET6) else {
            throw ServiceError(.invalidURL, "URL's host in brackets is not an IPv6 address")
        }
        return address.lowercased() + zone
    }

    /// Whether `text` is an IPv4 or IPv6 address.
    package static func isIPAddress(_ text: String) -> Bool {
        isAddress(text, family: AF_INET) || isAddress(text, family: AF_INET6)
    }

    /// The 4 or 16 bytes of an IPv4 or IPv6 address; nil: `text` is no address.
    package static func addressBytes(_ text: String) -> [UInt8]? {
        address(text, family: AF_INET, length: 4) ?? address(text, family: AF_INET6, length: 16)
    }

    private static func isAddress(_ text: String, family: Int32) -> Bool {
        address(text, family: family, length: 0) != nil
    }

    /// The first `length` bytes of an address of this family; nil: `text` is no such address.
    private static func address(_ text: String, family: Int32, length: Int) -> [UInt8]? {
        // A C string ends at its first NUL: `inet_pton` would not see the rest.
        guard !text.utf8.contains(0) else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { buffer in
            guard let base = buffer.baseAddress, inet_pton(family, text, base) == 1 else { return nil }
            return Array(buffer.prefix(length))
        }
    }
}
