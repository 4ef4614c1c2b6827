package import BowlineCore
package import Logging

/// Says in the log what becomes of each attempt. Messages are static, values stand in the metadata, and nothing there can be
/// a secret: no field, query, body or credential, and of an error its code.
///
/// An attempt that ends with a response is told at `debug`, its beginning at `trace`; one that fails at `info`, because
/// whoever gets the error may log it louder; one that is cancelled at `debug`.
package struct LoggingMiddleware: SelectiveMiddleware {
    private let logger: Logger?

    /// - Parameter logger: Where lines go; nil: to the calling task's logger.
    package init(logger: Logger?) {
        self.logger = logger
    }

    /// Whether anybody has asked for lines.
    package func concerns(_ request: ServiceRequest) -> Bool {
        ClientLog.wanted(logger).map { $0.logLevel <= .info } ?? false
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        guard var logger = ClientLog.wanted(logger), logger.logLevel <= .info else {
            return try await next(request, context: context)
        }
        logger.describe(request, context)
        logger.trace("attempt begins")
        do {
            let response = try await next(request, context: context)
            logger.debug("attempt ended with a response", metadata: Self.metadata(of: response))
            return response
        } catch is CancellationError {
            logger.debug("attempt cancelled")
            throw CancellationError()
        } catch {
            logger.info("attempt failed", metadata: Self.metadata(of: error))
            throw error
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
    /// Adds what all lines about a request say of it.
    mutating func describe(_ request: ServiceRequest, _ context: RequestContext) {
        self[metadataKey: "http.request.method"] = "\(HTTPMethodName(request.method).rawValue)"
        if let url = request.url { self[metadataKey: "server.address"] = "\(url.origin)" }
        self[metadataKey: "bowline.target"] = "\(request.loggedTarget)"
        self[metadataKey: "bowline.attempt"] = "\(context.attempt)"
        if context.hop > 0 { self[metadataKey: "bowline.hop"] = "\(context.hop)" }
    }
}

extension ServiceRequest {
    /// The target's template, or the path without its query.
    fileprivate var loggedTarget: String {
        ownOptions?.value.targetTemplate ?? url?.path ?? ""
    }
}
