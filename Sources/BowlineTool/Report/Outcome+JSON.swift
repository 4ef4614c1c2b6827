internal import Bowline

extension Outcome {
    /// The line that scripts read; its keys and their order are a promise.
    ///
    /// - Parameter isVerbose: With header and trailer fields.
    func json(isVerbose: Bool) -> String {
        var line = JSONObject()
        line.add("index", index)
        line.add("url", url)
        if let response { line.add("status", response.status) }
        if let failure { line.add("error", failure.json) }
        if let response {
            response.add(to: &line)
        } else if let attempts = failure?.attempts {
            line.add("attempts", attempts)
        }
        line.add("milliseconds", milliseconds: duration)
        if isVerbose, let response {
            line.add("headers", response.headers)
            line.add("trailers", response.trailers)
        }
        return line.text
    }
}

extension Outcome.Received {
    fileprivate func add(to line: inout JSONObject) {
        if let connection { line.add("protocol", connection.protocolVersion.rawValue) }
        line.add("attempts", attempts)
        line.add("resends", resends)
        if let connection {
            var object = JSONObject()
            object.add("id", connection.id)
            object.add("reused", connection.isReused)
            object.add("requests", connection.requests)
            if let stream = connection.stream { object.add("stream", stream) }
            line.add("connection", object)
        }
        line.add("bytes", bytes)
        if let sha256 { line.add("sha256", sha256) }
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
