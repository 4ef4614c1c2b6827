internal import Bowline

/// The methods of the race. The client may resend a GET if its connection is dead; it must not resend a POST.
enum IdleRaceMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
}

/// A request that was sent, and the outcome that the caller saw.
struct IdleRaceRecord: Sendable {
    enum Outcome: Sendable {
        /// A complete response. `isOwn`: its status is 200 and its `X-Id` is the request's.
        case answered(isOwn: Bool, isReused: Bool, resends: Int)
        case failed(code: String, progress: RequestProgress, resends: Int)
    }

    let method: IdleRaceMethod
    let id: String
    let outcome: Outcome
}
