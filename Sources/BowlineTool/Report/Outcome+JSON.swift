internal import Bowline

extension Outcome {
    /// Returns the JSON line for scripts. Its keys and their order must not change.
    ///
    /// - Parameter isVerbose: Whether to add header and trailer fields.
    func json(isVerbose: Bool) -> String {
        var line = JSONObject()
        line.add("index", index)
        line.add("url", url)
        if let response { line.add("status", response.status) }
        if let failure { line.add("error", failure.json) }
        if let connection { line.add("protocol", connection.protocolVersion.rawValue) }
        if let response { line.add("redirects", response.redirects) }
        if let attempts { line.add("attempts", attempts) }
        if let resends { line.add("resends", resends) }
        if let requestsSent { line.add("requestsSent", requestsSent) }
        if let connection { line.add("connection", connection.json) }
        if let response {
            line.add("bytes", response.bytes)
            if let sha256 = response.sha256 { line.add("sha256", sha256) }
        }
        line.add("milliseconds", milliseconds: duration)
        if isVerbose, let response {
            line.add("headers", response.headers)
            line.add("trailers", response.trailers)
        }
        return line.text
    }
}

extension ConnectionFacts {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object.add("id", id)
        object.add("reused", isReused)
        object.add("requests", requests)
        if let stream { object.add("stream", stream) }
        if let proxy { object.add("proxy", proxy) }
        return object
    }
}

extension Failure {
    var json: JSONObject {
        var object = JSONObject()
        object.add("code", code)
        if let progress { object.add("progress", progress) }
        if let phase { object.add("phase", phase) }
        object.add("message", message)
        return object
    }
}
