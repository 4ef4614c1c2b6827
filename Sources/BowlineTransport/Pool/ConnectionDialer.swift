/// Dials the connections of one route.
protocol ConnectionDialer: AnyObject, Sendable {
    /// Returns a new id, which no other connection of the client has or had. Some ids may stay unused.
    func nextConnectionID() -> ConnectionID

    /// Starts a dial.
    ///
    /// For each dial, the dialer calls exactly one of the pool's `connectionEstablished(_:)` and
    /// `connectionFailed(_:error:cause:)`, from any thread, possibly before this function returns. The dialer limits
    /// the time of a dial; the pool does not.
    ///
    /// - Parameter affinity: The preferred event loop of the connection, or `nil` for any.
    func dial(_ id: ConnectionID, affinity: Int?)

    /// Cancels a dial. The dialer still reports the end of the dial. The pool ignores a failure, and closes a
    /// connection that is established nevertheless. Another thread may call this before `dial(_:affinity:)` has been
    /// called for the same id.
    func cancelDial(_ id: ConnectionID)
}
