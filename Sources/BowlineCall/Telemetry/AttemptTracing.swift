internal import BowlineCore
internal import Tracing

/// Makes one CLIENT span for each attempt, and sends the span's context to the service. Follows OpenTelemetry's
/// conventions for HTTP.
///
/// The span ends when the response head has arrived or the attempt has failed. The conventions require this for clients
/// like this one, which cannot know whether the caller will read the body. While the attempt runs, the span's context
/// is the task's context.
package struct AttemptTracing: Sendable {
    private let tracer: any Tracer
    private let instrument: any Instrument

    /// Uses the tracer of the calling task, or else of the process; nil: none is installed now.
    package init?() {
        let tracer = InstrumentationSystem.tracer
        guard !(tracer is NoOpTracer) else { return nil }
        self.tracer = tracer
        instrument = InstrumentationSystem.instrument
    }

    /// Starts the attempt's span and writes its context into the request's fields.
    func begin(_ request: inout ServiceRequest, _ context: RequestContext) -> any Span {
        let parent = ServiceContext.current ?? .topLevel
        let span = tracer.startSpan(Self.name(of: request), context: parent, ofKind: .client)
        if span.isRecording {
            span.attributes.describe(request, sentBefore: context.call.requestsSent)
            if context.isHedge { span.attributes["bowline.hedge"] = context.call.hedge }
        }
        instrument.inject(span.context, into: &request.fields, using: FieldInjector())
        return span
    }

    /// Ends the span with the attempt's outcome.
    static func end(_ span: any Span, _ outcome: AttemptOutcome) {
        switch outcome {
        case .answered(let response, _): span.describe(response)
        case .failed(let error, _): span.describe(failure: error)
        case .ended(let error): span.describe(failure: error)
        }
        span.end()
    }

    /// Returns the span's name: the method, and the target's template if there is one. So the number of different names
    /// stays small, however many URLs there are.
    private static func name(of request: ServiceRequest) -> String {
        let method = HTTPMethodName(request.method)
        let verb = method == .other ? "HTTP" : method.rawValue
        guard let template = request.ownOptions?.value.targetTemplate else { return verb }
        return "\(verb) \(template)"
    }
}

/// Writes a span's context into header fields. Values that are not valid in a field are left out.
private struct FieldInjector: Injector {
    func inject(_ value: String, forKey key: String, into fields: inout HTTPFields) {
        guard let name = HTTPField.Name(key), HTTPField.isValidValue(value) else { return }
        fields[name] = value
    }
}

extension SpanAttributes {
    fileprivate mutating func describe(_ request: ServiceRequest, sentBefore: Int) {
        let method = HTTPMethodName(request.method)
        self["http.request.method"] = method.rawValue
        if method == .other { self["http.request.method_original"] = String(request.method.rawValue.prefix(64)) }
        if sentBefore > 0 { self["http.request.resend_count"] = sentBefore }
        if let template = request.ownOptions?.value.targetTemplate { self["url.template"] = template }
        guard let url = request.url else { return }
        self["server.address"] = url.origin.socketPath ?? url.origin.host
        if url.origin.socketPath == nil { self["server.port"] = url.origin.port }
        self["url.full"] = RedactedURL(url).description
    }
}

extension Span {
    fileprivate func describe(_ response: ServiceResponse) {
        let status = response.status.code
        if isRecording {
            attributes["http.response.status_code"] = status
            if response.resends > 0 { attributes["bowline.resends"] = response.resends }
            if let connection = response.connection {
                attributes["network.protocol.version"] = connection.protocolVersion.number
                attributes["bowline.connection.id"] = connection.id
                attributes["bowline.connection.reused"] = connection.isReused
            }
        }
        guard status >= 400 else { return }
        if isRecording { attributes["error.type"] = "\(status)" }
        setStatus(SpanStatus(code: .error))
    }

    /// The caller wanted the cancellation: it is not an error.
    fileprivate func describe(failure: any Error) {
        guard !(failure is CancellationError) else {
            attributes["bowline.cancelled"] = true
            return
        }
        attributes["error.type"] = FailureName(failure).text
        if let error = failure as? ServiceError { attributes["bowline.progress"] = error.progress.rawValue }
        // The error's text is left out, because an error of the user's middleware may contain anything.
        setStatus(SpanStatus(code: .error))
    }
}
