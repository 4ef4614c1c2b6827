import BowlineCore

/// The snippets of Sources/BowlineCore/BowlineCore.docc/BowlineCore.md in their order, with the imports that it shows. Nothing here is run.
private enum BowlineCoreSnippets {
    struct AttemptNumber: ServiceMiddleware {
        let name: HTTPField.Name

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            request.fields[name] = "\(context.attempt)"
            return try await next(request, context: context)
        }
    }
}
