// Drives Go's net/http client, tuned for one core: GOMAXPROCS 1, a pool as large as the concurrency, one reused buffer
// per worker, no compression unless the command line asks for it.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type work struct {
	mode, url, authority    string
	inFlight, count, warmup int
	expected, sent          int
	isCompressed, isHTTP2   bool
}

type outcome struct {
	failed, bytes int64
}

func main() {
	runtime.GOMAXPROCS(1)
	work := parse()
	client := &http.Client{Transport: transport(work)}
	var failed int64
	if work.mode == "idle" {
		failed = holdConnections(client, work)
	} else {
		failed = measure(client, work)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func parse() work {
	usage := func() {
		fmt.Fprintln(os.Stderr, "usage: go requests URL -c C -n N --warmup W [--ca FILE] [--expect BYTES] [--send BYTES] [--gzip] [--h2]")
		fmt.Fprintln(os.Stderr, "       go idle URL -n K [--ca FILE] [--expect BYTES]")
		os.Exit(64)
	}
	if len(os.Args) < 3 || (os.Args[1] != "requests" && os.Args[1] != "idle") {
		usage()
	}
	work := work{mode: os.Args[1], url: os.Args[2]}
	flags := flag.NewFlagSet("go", flag.ContinueOnError)
	flags.IntVar(&work.inFlight, "c", 1, "")
	flags.IntVar(&work.count, "n", 1, "")
	flags.IntVar(&work.warmup, "warmup", 0, "")
	flags.IntVar(&work.expected, "expect", -1, "")
	flags.IntVar(&work.sent, "send", -1, "")
	flags.StringVar(&work.authority, "ca", "", "")
	flags.BoolVar(&work.isCompressed, "gzip", false, "")
	flags.BoolVar(&work.isHTTP2, "h2", false, "")
	if flags.Parse(os.Args[3:]) != nil || work.count < 1 || work.inFlight < 1 {
		usage()
	}
	return work
}

func transport(work work) *http.Transport {
	connections := work.inFlight
	if work.mode == "idle" {
		connections = work.count
	}
	made := &http.Transport{
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		DisableCompression:  !work.isCompressed,
		ForceAttemptHTTP2:   work.isHTTP2,
		TLSClientConfig:     &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	}
	if !work.isHTTP2 {
		made.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	if work.authority != "" {
		pem, err := os.ReadFile(work.authority)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			fmt.Fprintln(os.Stderr, "--ca: no PEM file")
			os.Exit(64)
		}
		made.TLSClientConfig.RootCAs = roots
	}
	return made
}

// send makes one request and reads the whole response. It returns the body's length, or -1 if the request failed or the
// response is not the expected one.
func send(client *http.Client, work work, body []byte, buffer []byte) int64 {
	method := http.MethodGet
	var content io.Reader
	if work.sent >= 0 {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	request, err := http.NewRequest(method, work.url, content)
	if err != nil {
		return -1
	}
	response, err := client.Do(request)
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	var length int64
	for {
		count, err := response.Body.Read(buffer)
		length += int64(count)
		if err == io.EOF {
			break
		}
		if err != nil {
			return -1
		}
	}
	if response.StatusCode != 200 || (work.expected >= 0 && length != int64(work.expected)) {
		return -1
	}
	return length
}

// run starts inFlight workers, which send count requests. If kept is not nil, it gets the latency of each request.
func run(client *http.Client, work work, inFlight, count int, kept []time.Duration) outcome {
	var next, failed, length int64
	var workers sync.WaitGroup
	body := bytes.Repeat([]byte{'a'}, max(work.sent, 0))
	for index := 0; index < inFlight && index < count; index++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			buffer := make([]byte, 64*1024)
			if work.mode == "idle" {
				buffer = make([]byte, 2048)
			}
			for {
				number := atomic.AddInt64(&next, 1) - 1
				if number >= int64(count) {
					return
				}
				start := time.Now()
				received := send(client, work, body, buffer)
				if kept != nil {
					kept[number] = time.Since(start)
				}
				if received < 0 {
					atomic.AddInt64(&failed, 1)
				} else {
					atomic.AddInt64(&length, received)
				}
			}
		}()
	}
	workers.Wait()
	return outcome{failed, length}
}

func measure(client *http.Client, work work) int64 {
	kept := make([]time.Duration, work.count)
	run(client, work, work.inFlight, work.warmup, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, processor := time.Now(), processorSeconds()
	result := run(client, work, work.inFlight, work.count, kept)
	seconds, cpu := time.Since(start).Seconds(), processorSeconds()-processor
	runtime.ReadMemStats(&after)
	sort.Slice(kept, func(one, other int) bool { return kept[one] < kept[other] })
	percentile := func(share float64) float64 {
		index := int(share * float64(len(kept)))
		if index >= len(kept) {
			index = len(kept) - 1
		}
		return float64(kept[index].Nanoseconds()) / 1000
	}
	fmt.Printf(`{"client": "net/http of %s", "requests": %d, "failed": %d, "bytes": %d, "seconds": %f, "cpu": %f, `+
		`"p50": %.1f, "p99": %.1f, "p999": %.1f, "max": %.1f, "allocations": %.2f}`+"\n",
		runtime.Version(), work.count, result.failed, result.bytes, seconds, cpu,
		percentile(0.5), percentile(0.99), percentile(0.999), percentile(1),
		float64(after.Mallocs-before.Mallocs)/float64(work.count))
	return result.failed
}

func holdConnections(client *http.Client, work work) int64 {
	first := run(client, work, 1, 1, nil)
	before := residentKibibytes()
	rest := run(client, work, work.count, work.count, nil)
	time.Sleep(time.Second)
	failed := first.failed + rest.failed
	fmt.Printf(`{"client": "net/http of %s", "connections": %d, "failed": %d, "before": %d, "after": %d}`+"\n",
		runtime.Version(), work.count, failed, before, residentKibibytes())
	io.Copy(io.Discard, os.Stdin)
	return failed
}

func processorSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func residentKibibytes() int {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		var kibibytes int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kibibytes); err == nil {
			return kibibytes
		}
	}
	return 0
}

func max(one, other int) int {
	if one > other {
		return one
	}
	return other
}
