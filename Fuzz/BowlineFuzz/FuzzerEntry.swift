// Used when compiled with `-DFUZZING`. libFuzzer provides the main function and calls the function below for each
// input.
#if FUZZING
    import Foundation
    import FuzzTargets

    private let target: FuzzTarget = {
        let name = ProcessInfo.processInfo.environment["BOWLINE_FUZZ"] ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
            fatalError("BOWLINE_FUZZ must name a target: \(names)")
        }
        return target
    }()

    /// Runs the chosen target on an input. A broken promise ends the process, and libFuzzer keeps the input.
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        do {
            try target.check(UnsafeRawBufferPointer(start: data, count: count))
        } catch {
            fatalError("\(target.rawValue): a promise is broken: \(error)")
        }
        return 0
    }
#endif
