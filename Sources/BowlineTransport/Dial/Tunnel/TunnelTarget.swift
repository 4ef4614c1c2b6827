package import BowlineCore

/// The origin that a proxy connects to.
package struct TunnelTarget: Sendable, Hashable {
    /// A name or an IP address, as in ``Origin``: without brackets, and without a character that could end a line.
    package var host: String
    /// 1 to 65,535.
    package var port: Int
    /// The address, if the client has resolved the name. Only a SOCKS proxy gets it.
    package var address: IPAddress?

    package init(host: String, port: Int, address: IPAddress? = nil) {
        self.host = host
        self.port = port
        self.address = address
    }

    /// `host:port`, the target of CONNECT (RFC 9112 §3.2.3). An IPv6 address has brackets and no zone: a zone has a
    /// meaning on this machine only (RFC 4007 §6).
    var authority: String {
        guard host.utf8.contains(UInt8(ascii: ":")) else { return "\(host):\(port)" }
        return "[\(host.prefix { $0 != "%" })]:\(port)"
    }
}
