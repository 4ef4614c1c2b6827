// This module contains everything between a call and its attempts. `Executor/CallPlan.swift` defines the order,
// outermost first. `Executor/CallExecutor.swift` runs the loop. `Executor/CallStateMachine.swift` decides what happens
// next. Each behaviour has a folder. An `XPolicy` decides and is pure. An `XStep` or a similar type changes the request
// or the response. The module does not import `BowlineTransport`: it uses the transport through the protocol
// `ServiceTransport`.
