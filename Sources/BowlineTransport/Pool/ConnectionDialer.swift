/// Makes one origin's connections.
protocol ConnectionDialer: AnyObject, Sendable {
    /// Returns a name no other connection of the client has or had. Some names may go unused.
    func nextConnectionID() -> ConnectionID

    /// Starts a dial.
    ///
    /// Exactly one of the pool's `connectionEstablished(_:)` and `connectionFailed(_:error:cause:)` is called for each dial,
    /// from any thread, possibly before this function returns. The dialer bounds a dial's time; the pool does not.
    ///
    /// - Parameter affinity: The event loop the connection had better live on, or `nil` for any.
    func dial(_ id: ConnectionID, affinity: Int?)

    /// Asks a dial to stop. It still reports its end; the pool ignores a failure and closes a connection that comes
    /// all the same. May come before `dial(_:affinity:)` has been called for it, from another thread.
    func cancelDial(_ id: ConnectionID)
}
