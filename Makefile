# What there is to do here. On a Debian machine with a Swift toolchain, `make test` and `make demo` need nothing else.

SWIFT ?= swift
SERVERS_FLAGS ?=
HTTP2_FLAGS ?=
INTEROP_FLAGS ?=
SILENT_FLAGS ?=
SPEED_FLAGS ?=
BENCH_FLAGS ?=
ONLY ?=
PIPELINE_COST_FLAGS ?= --limit-microseconds 1.5 --limit-allocations 10

.DEFAULT_GOAL := help
.PHONY: help dependencies test test-traits demo examples integrations docs check format test-thread servers httpbin loopback identities http2 http2-servers interop silent-path pipeline-cost instructions bench speed clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dependencies:
	@Scripts/install-dependencies

test: dependencies ## Build everything and run the tests, one after the other: several measure time
	$(SWIFT) build --build-tests
	@Scripts/with-failures $(SWIFT) test --skip-build --no-parallel

demo: dependencies ## Run the demo: an orders service that misbehaves, each order taken once
	$(SWIFT) run --package-path Examples Demo

examples: dependencies ## Build and run the examples: one idea each, and its proof
	@SWIFT=$(SWIFT) Scripts/examples

integrations: dependencies ## Test the packages that connect Bowline with others, where those can be resolved
	@SWIFT=$(SWIFT) Scripts/integrations

docs: dependencies ## Build the reference documentation with DocC; a warning is an error
	@SWIFT=$(SWIFT) Scripts/docs

check: ## Check what the compiler does not: import walls, sizes, traps, formatting …
	@Scripts/check

format: ## Format the Swift sources in place
	@find Sources Tests Examples Benchmarks Integrations -name '*.swift' -not -path '*/.build*' -print0 2>/dev/null \
		| xargs -0 $(SWIFT) format --in-place --parallel --configuration .swift-format Package.swift

test-traits: dependencies ## Build with the package trait Configuration and run its tests
	$(SWIFT) build --build-tests --traits Configuration
	$(SWIFT) test --skip-build --no-parallel --traits Configuration --filter ConfigurationReading

test-thread: dependencies ## Run the tests under thread sanitizer
	$(SWIFT) build --build-tests --sanitize=thread -Xswiftc -DTHREAD_SANITIZER --scratch-path .build-tsan
	TSAN_OPTIONS="suppressions=$(CURDIR)/Scripts/thread-sanitizer.suppressions halt_on_error=0" \
		Scripts/with-failures $(SWIFT) test --skip-build --no-parallel --sanitize=thread -Xswiftc -DTHREAD_SANITIZER --scratch-path .build-tsan

servers: ## Drive the tool against a real nginx (SERVERS_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/real-servers $(SERVERS_FLAGS)

httpbin: ## Run the tests that need a real httpbin (from PyPI, on loopback)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build --build-tests
	@Scripts/httpbin-checks

loopback: ## Drive the tool against scripted servers that misbehave
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/loopback-checks

identities: ## Show the tool certificates with every kind of name, on sockets and over both protocols
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/tls-identities

http2: ## Drive the tool against a scripted HTTP/2 peer that goes away, refuses, stalls, lies and floods (h2 from PyPI)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/http2-checks

http2-servers: ## Drive the tool against nginx, nghttpd and HAProxy speaking HTTP/2 (HTTP2_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/http2-servers $(HTTP2_FLAGS)

interop: ## Drive the tool against nine servers and print what works with each (INTEROP_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/interop $(INTEROP_FLAGS)

silent-path: ## Make the path to real servers silent under load, and count what that costs (SILENT_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/silent-path $(SILENT_FLAGS)

pipeline-cost: dependencies ## Measure what the default pipeline adds to a request: time and allocations
	$(SWIFT) build -c release --package-path Benchmarks --product PipelineCost
	@Benchmarks/.build/release/PipelineCost $(PIPELINE_COST_FLAGS)

instructions: ## Count what a request executes, and fail when that has risen
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --package-path Benchmarks --product RequestCost
	@Scripts/instruction-guard

bench: ## Measure Bowline beside other clients, the same work in turn (ONLY=h1-1k for a part; BENCH_FLAGS)
	@Scripts/install-dependencies --with-benchmarks
	$(SWIFT) build -c release --package-path Benchmarks
	@for peer in Benchmarks/Peers/*/build; do echo $$peer; $$peer || exit 1; done
	@Scripts/bench $(if $(ONLY),--only $(ONLY)) $(BENCH_FLAGS)

speed: ## Measure CPU per request against nginx, a core each, beside SwiftNIO alone
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	$(SWIFT) build -c release --package-path Benchmarks --product NIOFloor
	@Scripts/speed $(SPEED_FLAGS)

clean: ## Remove what was built
	rm -rf .build .build-* Examples/.build Benchmarks/.build Integrations/*/.build
