/// The kind of a request, which decides how its response is framed (RFC 9112 §6.3).
package enum RequestKind: Sendable, Hashable {
    /// HEAD: the response has no body, whatever its fields say.
    case head
    /// CONNECT: a 2xx response ends HTTP on the connection.
    case connect
    /// A request that carried `Upgrade`: a 101 response ends HTTP on the connection.
    case upgrade
    /// Any other request; a 101 response to it is an error (RFC 9110 §7.8).
    case other
}
