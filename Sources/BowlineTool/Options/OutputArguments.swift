internal import ArgumentParser

/// The options for the report about the requests, and for the handling of their bodies.
struct OutputArguments: ParsableArguments {
    @Flag(help: "One JSON object per line as each request ends, and a summary.")
    var json = false

    @Flag(name: .shortAndLong, help: "Also the proxy, header and trailer fields, and where the time was spent.")
    var verbose = false

    @Flag(help: "The summary only; bodies are not hashed. For measuring.")
    var quiet = false

    @Flag(help: "A status of 400 or above is a failure.")
    var fail = false

    @Option(
        name: .customShort("o"),
        help: ArgumentHelp(
            "The file for the body; - is standard output. There is no total timeout unless --timeout sets one.",
            valueName: "file"
        )
    )
    var file: String?

    @Option(help: ArgumentHelp("The most bytes that a body may have; a larger one is a failure.", valueName: "bytes"))
    var maxBody: Int?

    @Flag(help: "Drops each response without reading its body.")
    var dropBody = false

    @Flag(help: "Offers no content coding, and does not decode bodies.")
    var noDecompress = false
}

extension OutputArguments {
    /// Makes the plan of the output. Does not touch the file.
    func makePlan(workers: Int) throws -> OutputPlan {
        if let maxBody, maxBody < 0 { throw ValidationError("--max-body must not be negative, is \(maxBody)") }
        if dropBody, file != nil { throw ValidationError("-o and --drop-body cannot be given together") }
        if file != nil, file != "/dev/null", workers > 1 {
            throw ValidationError("-o takes one body at a time: -c must be 1, without --pace")
        }
        return OutputPlan(
            isJSON: json, isVerbose: verbose, isQuiet: quiet, failsOnStatus: fail, dropsBodies: dropBody,
            maximumBody: maxBody, file: file
        )
    }
}
