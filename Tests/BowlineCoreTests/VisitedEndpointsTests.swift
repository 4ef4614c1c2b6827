import BowlineCore
import Testing

@Suite("The endpoints that a call has used")
struct VisitedEndpointsTests {
    @Test("The numbers of a hop are kept in order; another hop has none")
    func numbers() {
        var visited = VisitedEndpoints()
        #expect(visited.numbers(inHop: 0) == [])
        visited.add(7, inHop: 0)
        #expect(visited.numbers(inHop: 0) == [7])
        visited.add(5, inHop: 0)
        visited.add(6, inHop: 0)
        #expect(visited.numbers(inHop: 0) == [7, 5, 6])
        #expect(visited.numbers(inHop: 1) == [])
        visited.add(7, inHop: 1)
        #expect(visited.numbers(inHop: 1) == [7])
        #expect(visited.numbers(inHop: 0) == [])
    }

    @Test("A redirect is taken once, and the numbers stay")
    func redirect() throws {
        let url = try ServiceURL("http://a.example/x")
        var visited = VisitedEndpoints()
        #expect(visited.takeRedirect() == nil)
        visited.add(1, inHop: 0)
        visited.add(2, inHop: 0)
        visited.redirected(to: url)
        #expect(visited.numbers(inHop: 0) == [1, 2])
        #expect(visited.takeRedirect() == url)
        #expect(visited.takeRedirect() == nil)
        #expect(visited.numbers(inHop: 0) == [1, 2])
    }

    @Test("The redirect stays when the first endpoint of the next hop is added before it is taken")
    func redirectBeforeAttempt() throws {
        let url = try ServiceURL("http://a.example/x")
        var visited = VisitedEndpoints()
        visited.add(1, inHop: 0)
        visited.redirected(to: url)
        visited.add(2, inHop: 1)
        #expect(visited.numbers(inHop: 1) == [2])
        #expect(visited.takeRedirect() == url)
    }
}
