//! Drives hyper 0.14's client, tuned for one core: a single-threaded runtime, TCP_NODELAY, a pool as large as the
//! concurrency, few threads for name lookups, and for HTTP/2 windows of the sizes that large bodies want.

mod work;

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Instant;

use hyper::body::HttpBody;
use hyper::client::HttpConnector;
use hyper::{Body, Client, Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use work::Work;

type Http = Client<HttpsConnector<HttpConnector>>;

const NAME: &str = env!("DRIVER_NAME");

#[derive(Clone, Copy, Default)]
struct Outcome {
    failed: usize,
    bytes: usize,
}

fn main() {
    let Some(work) = Work::parse(std::env::args().skip(1)) else {
        eprintln!("usage: hyper requests URL -c C -n N --warmup W [--ca FILE] [--expect BYTES] [--send BYTES] [--gzip] [--h2]");
        eprintln!("       hyper idle URL -n K [--ca FILE] [--expect BYTES]");
        std::process::exit(64);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().expect("a runtime");
    let failed = tokio::task::LocalSet::new().block_on(&runtime, async {
        let client = Rc::new(make_client(&work));
        if work.mode == "idle" { hold_connections(client, work).await } else { measure(client, work).await }
    });
    std::process::exit(i32::from(failed > 0));
}

fn make_client(work: &Work) -> Http {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = &work.authority {
        let pem = std::fs::read(path).expect("--ca: a file");
        roots.add_parsable_certificates(&rustls_pemfile::certs(&mut &pem[..]).expect("--ca: PEM"));
    }
    let tls = rustls::ClientConfig::builder().with_safe_defaults().with_root_certificates(roots).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector =
        if work.is_http2 { https.enable_http2().wrap_connector(tcp) } else { https.enable_http1().wrap_connector(tcp) };
    Client::builder()
        .pool_max_idle_per_host(if work.mode == "idle" { work.count } else { work.in_flight })
        .http2_only(work.is_http2)
        .http2_initial_stream_window_size(4 << 20)
        .http2_initial_connection_window_size(1 << 24)
        .build(connector)
}

/// Sends one request and reads the whole response. `None`: the request failed, or the response is not the expected one.
async fn send(client: &Http, work: &Work, uri: &Uri, body: &hyper::body::Bytes) -> Option<usize> {
    let mut request = Request::builder().uri(uri.clone()).method(if work.sent.is_some() { Method::POST } else { Method::GET });
    if work.is_compressed {
        request = request.header("accept-encoding", "gzip");
    }
    let content = if work.sent.is_some() { Body::from(body.clone()) } else { Body::empty() };
    let response = client.request(request.body(content).ok()?).await.ok()?;
    let status = response.status();
    let is_coded = response.headers().get("content-encoding").map_or(false, |coding| coding == "gzip");
    let mut incoming = response.into_body();
    let mut bytes = 0;
    if is_coded {
        let mut decoder = flate2::write::GzDecoder::new(Counter(0));
        while let Some(chunk) = incoming.data().await {
            std::io::Write::write_all(&mut decoder, &chunk.ok()?).ok()?;
        }
        bytes = decoder.finish().ok()?.0;
    } else {
        while let Some(chunk) = incoming.data().await {
            bytes += chunk.ok()?.len();
        }
    }
    (status == 200 && bytes == work.expected.unwrap_or(bytes)).then_some(bytes)
}

/// A writer that only counts the decompressed bytes.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts `in_flight` workers, which send `count` requests. If `kept` is not `None`, it gets the latencies, in
/// nanoseconds.
async fn run(client: &Rc<Http>, work: &Work, in_flight: usize, count: usize, kept: Option<Rc<RefCell<Vec<u32>>>>) -> Outcome {
    let uri: Uri = work.url.parse().expect("a URL");
    let body = hyper::body::Bytes::from(vec![b'a'; work.sent.unwrap_or(0)]);
    let next = Rc::new(Cell::new(0));
    let outcome = Rc::new(Cell::new(Outcome::default()));
    let workers: Vec<_> = (0..in_flight.min(count))
        .map(|_| {
            let (client, work, uri, body) = (client.clone(), work.clone(), uri.clone(), body.clone());
            let (next, outcome, kept) = (next.clone(), outcome.clone(), kept.clone());
            tokio::task::spawn_local(async move {
                while next.get() < count {
                    next.set(next.get() + 1);
                    let start = Instant::now();
                    let answer = send(&client, &work, &uri, &body).await;
                    if let Some(kept) = &kept {
                        kept.borrow_mut().push(start.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
                    }
                    let mut sum = outcome.get();
                    sum.bytes += answer.unwrap_or(0);
                    sum.failed += usize::from(answer.is_none());
                    outcome.set(sum);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker ends");
    }
    outcome.get()
}

async fn measure(client: Rc<Http>, work: Work) -> usize {
    let kept = Rc::new(RefCell::new(Vec::with_capacity(work.count)));
    run(&client, &work, work.in_flight, work.warmup, None).await;
    let resident = status_kibibytes("VmRSS:");
    let (start, processor) = (Instant::now(), processor_seconds());
    let outcome = run(&client, &work, work.in_flight, work.count, Some(kept.clone())).await;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    let peak = status_kibibytes("VmHWM:");
    let mut latencies = kept.borrow_mut();
    latencies.sort_unstable();
    let percentile = |share: f64| {
        f64::from(latencies[((share * latencies.len() as f64) as usize).min(latencies.len() - 1)]) / 1000.0
    };
    println!(
        "{{\"client\": \"{NAME}\", \"requests\": {}, \"failed\": {}, \"bytes\": {}, \"seconds\": {seconds}, \"cpu\": {cpu}, \
         \"p50\": {:.1}, \"p99\": {:.1}, \"p999\": {:.1}, \"max\": {:.1}, \"allocations\": null, \"before\": {resident}, \"peak\": {peak}}}",
        work.count, outcome.failed, outcome.bytes, percentile(0.5), percentile(0.99), percentile(0.999), percentile(1.0)
    );
    outcome.failed
}

async fn hold_connections(client: Rc<Http>, work: Work) -> usize {
    let first = run(&client, &work, 1, 1, None).await;
    let before = status_kibibytes("VmRSS:");
    let rest = run(&client, &work, work.count, work.count, None).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let failed = first.failed + rest.failed;
    println!(
        "{{\"client\": \"{NAME}\", \"connections\": {}, \"failed\": {failed}, \"before\": {before}, \"after\": {}}}",
        work.count,
        status_kibibytes("VmRSS:")
    );
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    failed
}

/// The user and system time of the process.
fn processor_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the struct that it is given. The struct lives until after the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// A figure of the process's status in the kernel: VmRSS is the resident memory, VmHWM its peak.
fn status_kibibytes(label: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(label));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
