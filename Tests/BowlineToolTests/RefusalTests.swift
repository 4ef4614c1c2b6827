internal import Testing

@testable import BowlineTool

@Suite("Command lines that are refused, with exit status 64")
struct RefusalTests {
    static let refused: [(arguments: [String], word: String)] = [
        (["-n", "0"], "-n"), (["-n", "-1"], "-n"), (["-n", "many"], "many"), (["-c", "0"], "-c"),
        (["-c", "100001"], "-c"),
        (["--timeout=-1"], "--timeout"), (["--timeout", "0"], "--timeout"), (["--timeout", "nan"], "--timeout"),
        (["--timeout", "1e300"], "--timeout"), (["--timeout", "soon"], "--timeout"),
        (["--connect-timeout", "0"], "--connect-timeout"), (["--head-timeout", "0"], "--head-timeout"),
        (["--body-idle-timeout", "0"], "--body-idle-timeout"), (["--idle-timeout", "0"], "--idle-timeout"),
        (["--interval=-1"], "--interval"), (["--drain=-1"], "--drain"), (["--shutdown-after=-1"], "--shutdown-after"),
        (["--max-connections", "0"], "--max-connections"), (["--max-idle=-1"], "--max-idle"),
        (["--max-body=-1"], "--max-body"), (["--preset", "nope"], "--preset"),
        (["--http1", "--http2"], "--http2"), (["--http2"], "--h2c"),
        (["--follow", "101"], "--follow"), (["--follow=-1"], "--follow"),
        (["--max-attempts", "101"], "--max-attempts"), (["--max-attempts", "0"], "--max-attempts"),
        (["-d", "a", "--data-file", "b"], "--data-file"), (["--data-file", "/no/such-file"], "/no/such-file"),
        (["--data-file", "/"], "folder"), (["--data-file", "-", "-n", "2"], "--data-file"),
        (["--cert", "/dev/null"], "--key"), (["--key", "/dev/null"], "--cert"),
        (["--cacert", "/no/such-file"], "/no/such-file"),
        (["--proxy", "ftp://a.test"], "--proxy"), (["--proxy", "http://a.test/path"], "--proxy"),
        (["--proxy", "http://a.test:65536"], "--proxy"), (["--proxy", ""], "--proxy"),
        (["--proxy", "http://a.test", "--no-proxy"], "--no-proxy"),
        (["-o", "a", "-n", "2", "-c", "2"], "-o"), (["-o", "a", "--drop-body"], "--drop-body"),
        (["--rate", "0"], "--rate"), (["--rate", "nan"], "--rate"),
        (["--concurrency-limit", "0"], "--concurrency-limit"),
        (["--concurrency-limit", "many"], "--concurrency-limit"), (["--hedge-after", "0"], "--hedge-after"),
        (["--hedge-after", "5", "--timeout", "2"], "--hedge-after"), (["--resilience", "nope"], "--resilience"),
        (["--resolve", "a.test"], "--resolve"), (["--resolve", "a.test:nope"], "--resolve"),
        (["--resolve", ":127.0.0.1"], "--resolve"), (["--endpoint", "nope"], "--endpoint"),
        (["--endpoint", "ftp://a.test"], "--endpoint"), (["--balance", "--endpoint", "http://a.test"], "--balance"),
        (["--endpoint", "http://a.test", "http://other.test/"], "--endpoint"),
        (["-X", ""], "method"), (["-X", "GE T"], "method"), (["-X", "GET / HTTP/1.1\r\nX: y"], "method"),
        (["-H", "no colon"], "colon"), (["-H", ": a"], "name"), (["-H", "X Y: a"], "name"),
        (["-H", "X: a\r\nY: b"], "control character"), (["-H", "X: a\nb"], "control character"),
        (["-H", "X: a\u{0}b"], "control character"),
        (["--pace", "0"], "--pace"), (["--pace", "nan"], "--pace"), (["--pace", "100001"], "--pace"),
        (["--pace", "5", "-c", "2"], "-c"), (["--pace", "5", "--interval", "1"], "--interval"),
        (["--pace", "5", "-o", "a", "-n", "2"], "--pace"), (["--targets", "/no/such-file"], "/no/such-file"),
        (["--targets", "/"], "--targets"), (["--targets", "-"], "--targets"),
        (["--no-such-option"], "no-such-option"),
    ]

    @Test("A command line is refused with the name of the wrong option", arguments: refused)
    func refusal(arguments: [String], word: String) throws {
        let refusal = try #require(CommandLine.refusal([CommandLine.url] + arguments))
        #expect(refusal.status == 64)
        #expect(refusal.message.contains(word))
    }

    @Test(
        "a URL is refused with what is wrong with it",
        arguments: [
            ("not-a-url", "URL"), ("ftp://a.test/", "scheme"), ("http://user:secret@a.test/", "user information"),
            ("http://a.test:99999/", "port"), ("http://[::1/", "bracket"), ("http://:80/", "host"),
            ("http://a.test/a\r\nb", "control character"),
        ])
    func url(url: String, word: String) throws {
        let refusal = try #require(CommandLine.refusal([url]))
        #expect(refusal.status == 64)
        #expect(refusal.message.contains(word))
        #expect(!refusal.message.contains("secret"))
    }

    @Test("A command line without a URL is refused")
    func missingURL() throws {
        let refusal = try #require(CommandLine.refusal([]))
        #expect(refusal.status == 64)
        #expect(refusal.message.contains("url"))
    }

    @Test(
        "A line of --targets is refused with its number, and is not repeated",
        arguments: [
            ("http://a.test/1\nGET http://a.test/canary more", "line 2"), ("\n\nG(T http://a.test/canary", "line 3"),
            ("http://a.test/1\nhttp://user:canary@a.test/", "user information"), ("# nothing\n\n", "url"),
        ])
    func targets(text: String, word: String) throws {
        let file = try TargetsFile(text)
        let refusal = try #require(CommandLine.refusal(["--targets", file.path]))
        #expect(refusal.status == 64)
        #expect(refusal.message.contains(word))
        #expect(!refusal.message.contains("canary"))
    }

    @Test(
        "A proxy's URL that is refused is not repeated in the message",
        arguments: ["ftp://user:canary@a.test", "http://user:canary@a.test/x", "http://user:canary%0A@a.test"])
    func proxySecretsStaySecret(url: String) throws {
        let refusal = try #require(CommandLine.refusal([CommandLine.url, "--proxy", url]))
        #expect(refusal.status == 64)
        #expect(refusal.message.contains("--proxy: "))
        #expect(!refusal.message.contains("canary"))
    }

    @Test("a header's value is never repeated in a message")
    func secretsStaySecret() throws {
        let refusal = try #require(CommandLine.refusal([CommandLine.url, "-H", "Authorization: canary\u{1}"]))
        #expect(!refusal.message.contains("canary"))
    }
}
