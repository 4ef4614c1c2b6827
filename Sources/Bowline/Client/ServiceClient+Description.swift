internal import BowlineCore

extension ServiceClient: CustomStringConvertible, CustomReflectable {
    /// The base URL without its query, and the state. Contains no field, because a field may be a secret.
    public var description: String {
        let state =
            switch core.lifecycle.state {
            case .running: ""
            case .draining: ", draining"
            case .closing: ", closing"
            case .closed: ", closed"
            }
        return "ServiceClient(\(baseURL?.description ?? "no base URL")\(state))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
