import Bowline
import BowlineTesting
import CorpusSupport
import HTTPTypes
import NIOCore
import Testing

/// Serves every case of the corpus over a socket: the verdict, the delivered message, and the connection's fate.
@Suite("The corpus over a socket", .timeLimit(.minutes(2)))
struct CorpusOverSocketTests {
    /// The number of cases that run at once.
    private static let width = 16

    @Test("Every case of the corpus gets its verdict through the client", .tags(.H1a), arguments: try Corpus.groups())
    func verdicts(group: String) async throws {
        let cases = try Corpus.load().filter { $0.group == group }
        try await withThrowingTaskGroup(of: [String].self) { tasks in
            for (index, corpusCase) in cases.enumerated() {
                if index >= Self.width, let complaints = try await tasks.next() { Self.record(complaints) }
                tasks.addTask { try await Self.complaints(about: corpusCase) }
            }
            for try await complaints in tasks { Self.record(complaints) }
        }
    }

    private static func record(_ complaints: [String]) {
        for complaint in complaints { Issue.record("\(complaint)") }
    }

    /// Serves a case as the answer to the first request, then sends a second one with the same client.
    private static func complaints(about corpusCase: CorpusCase) async throws -> [String] {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard connection.number == 1 else { return try await connection.serveRequests() }
                guard try await connection.readRequestHead() != nil else { return }
                var start = 0
                for end in corpusCase.chunking + [corpusCase.bytes.count] {
                    try await connection.send(ByteBuffer(bytes: corpusCase.bytes[start..<end]))
                    start = end
                }
                if corpusCase.end == .close { return try await connection.closeNow() }
                try await connection.serveRequests()
            }
            server.respond { _ in .reply(200, fields: [.server: "second"], body: "second") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.retry = .never
                // The bytes must cause a refusal, not a timeout.
                $0.timeouts.total = .seconds(20)
                $0.connection.discardTimeout = .seconds(5)
                // The corpus contains bodies as they come over the wire; `CodedCorpusTests` has their decoded forms.
                $0.decompression = .off
                // A case is about one response; a retry or a redirect would show another one.
                $0.retry = .never
                $0.redirect = .never
            }
            var (observation, hasTimedOut) = await observe(corpusCase, client)
            if hasTimedOut { observation.outcome = .undecided }
            var complaints: [String] = []
            if observation.outcome == .failed, corpusCase.end == .open {
                // A refusal without the end of the connection: our side closes it.
                try await server.waitForOpenConnections(count: 0)
            }
            // A POST that is written just when the server closes is lost, as it should be; a PUT is sent again.
            let method = corpusCase.end == .close ? HTTPRequest.Method.put : .post
            let second = try await client.fetch(ServiceRequest(method: method, "/second", body: .text("x")))
            observation.isReusable = second.isReused
            if second.text != "second" || second.response.fields[.server] != "second" {
                complaints.append("the second request was answered by leftover bytes")
            }
            if server.executions(of: "/second") != 1 { complaints.append("the second request was executed twice") }
            let isKept = corpusCase.isReusable.map { $0 && corpusCase.end == .open }
            complaints += corpusCase.complaints(about: observation).filter { !$0.hasPrefix("reusable") }
            if observation.outcome == .delivered, let isKept, isKept != observation.isReusable {
                complaints.append("reused: \(observation.isReusable), must be \(isKept)")
            }
            if observation.outcome == .failed, observation.isReusable { complaints.append("reused after a failure") }
            await client.shutdown(within: .zero)
            return complaints.map { "\(corpusCase.id): \($0)" }
        }
    }

    private static func observe(
        _ corpusCase: CorpusCase, _ client: ServiceClient
    ) async -> (CorpusObservation, hasTimedOut: Bool) {
        var observation = CorpusObservation()
        do {
            let method = HTTPRequest.Method(corpusCase.method) ?? .get
            let response = try await client.send(ServiceRequest(method: method, "/first"))
            observation.status = response.status.code
            observation.headers = fields(response.receivedFields)
            observation.informational = response.informational.map {
                CorpusInformational(status: $0.status.code, headers: fields($0.fields))
            }
            if corpusCase.method == "CONNECT", (200..<300).contains(response.status.code) {
                // A tunnel has no end of its own.
                observation.outcome = .delivered
                response.body.discard()
                return (observation, false)
            }
            for try await chunk in response.body { observation.body += chunk.readableBytesView }
            observation.trailers = response.body.trailers.map(fields) ?? []
            observation.outcome = .delivered
            return (observation, false)
        } catch let error as ServiceError {
            observation.outcome = .failed
            return (observation, error.code == .deadlineExceeded || error.code == .bodyIdleTimeout)
        } catch {
            return (observation, true)
        }
    }

    private static func fields(_ fields: ReceivedFields) -> [CorpusField] {
        fields.map { CorpusField(name: $0.name, value: $0.value) }
    }
}
