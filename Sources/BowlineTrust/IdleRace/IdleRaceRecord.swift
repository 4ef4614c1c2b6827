internal import Bowline

/// The methods of the race: a GET may be sent again when its connection turns out to be dead, a POST may not.
enum IdleRaceMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
}

/// A request that was sent, and what the caller got for it.
struct IdleRaceRecord: Sendable {
    enum Outcome: Sendable {
        /// A whole response. `isOwn`: its status is 200, and its `X-Id` is the request's.
        case answered(isOwn: Bool, isReused: Bool, resends: Int)
        case failed(code: String, progress: RequestProgress, resends: Int)
    }

    let method: IdleRaceMethod
    let id: String
    let outcome: Outcome
}
