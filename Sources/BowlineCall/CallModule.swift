// Everything between a call and its attempts. `Executor/CallPlan.swift` has the order, outermost first; `Executor/CallExecutor.swift` is the
// loop; `Executor/CallStateMachine.swift` decides what happens next. Each behaviour has a folder: an `XPolicy` decides and is pure, an
// `XStep` or the like changes the request or the response. The module knows `BowlineCore` only: it meets the transport through
// `ServiceTransport`, never by import.
