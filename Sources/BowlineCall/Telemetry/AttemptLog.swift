internal import BowlineCore
internal import Logging

/// Logs how each attempt ends. Messages are static; values are in the metadata. No value can be a secret: the metadata
/// contains no field, query, body or credential. It contains the code of an error, but not its text.
///
/// The beginning of an attempt is logged at `trace`, a response and a cancellation at `debug`, and a failure at `info`.
/// A failure has no higher level, because the caller gets the error and may log it.
struct AttemptLog {
    private let logger: Logger

    /// Makes the log of one attempt; nil: no line is wanted.
    ///
    /// - Parameter configured: The logger that gets the lines; nil: the calling task's logger.
    init?(_ configured: Logger?, _ request: ServiceRequest, _ context: RequestContext) {
        guard var logger = ClientLog.logger(for: configured), logger.logLevel <= .info else { return nil }
        logger.describe(request, context)
        self.logger = logger
    }

    /// Whether lines about attempts are wanted.
    static func isWanted(_ configured: Logger?) -> Bool {
        ClientLog.logger(for: configured).map { $0.logLevel <= .info } ?? false
    }

    /// Logs that the attempt begins.
    func begin() { logger.trace("attempt begins") }

    /// Logs how the attempt has ended.
    func end(_ outcome: AttemptOutcome) {
        switch outcome {
        case .answered(let response, _):
            logger.debug("attempt ended with a response", metadata: Self.metadata(of: response))
        case .failed(let error, _): logger.info("attempt failed", metadata: Self.metadata(of: error))
        case .ended(is CancellationError): logger.debug("attempt cancelled")
        case .ended(let error): logger.info("attempt failed", metadata: Self.metadata(of: error))
        }
    }

    private static func metadata(of response: ServiceResponse) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["http.response.status_code": "\(response.status.code)"]
        if response.resends > 0 { metadata["bowline.resends"] = "\(response.resends)" }
        if let connection = response.connection {
            metadata["bowline.connection.id"] = "\(connection.id)"
            metadata["bowline.connection.reused"] = "\(connection.isReused)"
        }
        return metadata
    }

    private static func metadata(of error: any Error) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["error.type": "\(FailureName(error).text)"]
        guard let error = error as? ServiceError else { return metadata }
        metadata["bowline.progress"] = "\(error.progress.rawValue)"
        if let phase = error.phase { metadata["bowline.phase"] = "\(phase)" }
        return metadata
    }
}

extension Logger {
    /// Adds the metadata that all lines about a request have.
    mutating func describe(_ request: ServiceRequest, _ context: RequestContext) {
        self[metadataKey: "http.request.method"] = "\(HTTPMethodName(request.method).rawValue)"
        if let url = request.url { self[metadataKey: "server.address"] = "\(url.origin)" }
        self[metadataKey: "bowline.target"] = "\(request.loggedTarget)"
        self[metadataKey: "bowline.attempt"] = "\(context.attempt)"
        if context.hop > 0 { self[metadataKey: "bowline.hop"] = "\(context.hop)" }
        if context.isHedge { self[metadataKey: "bowline.hedge"] = "\(context.call.hedge)" }
    }
}

extension ServiceRequest {
    /// The target's template, or the path without its query.
    fileprivate var loggedTarget: String {
        ownOptions?.value.targetTemplate ?? url?.path ?? ""
    }
}
