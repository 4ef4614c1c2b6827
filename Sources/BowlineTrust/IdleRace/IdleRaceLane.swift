internal import Bowline
internal import BowlineTesting

/// Sends one request after another over its own connection, and waits for a random pause before each.
struct IdleRaceLane: Sendable {
    let number: Int
    let requests: Int
    let gaps: IdleRaceGaps
    let client: ServiceClient

    /// Sends all requests.
    func run(random: SeededRandom) async -> [IdleRaceRecord] {
        var random = random
        var records: [IdleRaceRecord] = []
        records.reserveCapacity(requests)
        // Each lane begins at a random time, so that the lanes do not all send at the same instant.
        var gap = gaps.timeout * random.nextDouble()
        for index in 0..<requests {
            guard (try? await Task.sleep(for: gap)) != nil else { break }
            records.append(await send(random.nextBool() ? .post : .get, id: "\(number)-\(index)"))
            gap = gaps.draw(from: &random)
        }
        return records
    }

    private func send(_ method: IdleRaceMethod, id: String) async -> IdleRaceRecord {
        IdleRaceRecord(method: method, id: id, outcome: await outcome(method, id))
    }

    private func outcome(_ method: IdleRaceMethod, _ id: String) async -> IdleRaceRecord.Outcome {
        do {
            var request = method == .post ? ServiceRequest.post("race", body: .text(id)) : .get("race")
            try request.setField("X-Id", id)
            let response = try await client.send(request)
            _ = try await response.collect(upTo: 65_536)
            let echoed = response.fields.first { $0.name.canonicalName == "x-id" }?.value
            return .answered(
                isOwn: response.status.code == 200 && echoed == id,
                isReused: response.connection?.isReused ?? false, resends: response.resends)
        } catch let error as ServiceError {
            return .failed(code: error.code.rawValue, progress: error.progress, resends: error.resends)
        } catch {
            return .failed(code: "\(type(of: error))", progress: .ambiguous, resends: 0)
        }
    }
}
