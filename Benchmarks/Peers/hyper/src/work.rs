//! The command line: Benchmarks/README.md says what a driver does.

#[derive(Clone, Default)]
pub struct Work {
    pub mode: String,
    pub url: String,
    pub in_flight: usize,
    pub count: usize,
    pub warmup: usize,
    pub authority: Option<String>,
    pub expected: Option<usize>,
    pub sent: Option<usize>,
    pub is_compressed: bool,
    pub is_http2: bool,
}

impl Work {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Option<Work> {
        let mut work = Work { mode: words.next()?, url: words.next()?, in_flight: 1, count: 1, ..Work::default() };
        while let Some(option) = words.next() {
            match option.as_str() {
                "--gzip" => work.is_compressed = true,
                "--h2" => work.is_http2 = true,
                "--ca" => work.authority = Some(words.next()?),
                "-c" => work.in_flight = words.next()?.parse().ok()?,
                "-n" => work.count = words.next()?.parse().ok()?,
                "--warmup" => work.warmup = words.next()?.parse().ok()?,
                "--expect" => work.expected = Some(words.next()?.parse().ok()?),
                "--send" => work.sent = Some(words.next()?.parse().ok()?),
                _ => return None,
            }
        }
        let is_known = work.mode == "requests" || work.mode == "idle";
        (is_known && work.count > 0 && work.in_flight > 0).then_some(work)
    }
}
