# The tasks of this repository. On a Debian machine with a Swift toolchain, `make test` and `make demo` need nothing else.

SWIFT ?= swift
SERVERS_FLAGS ?=
HTTP2_FLAGS ?=
WIRE_FLAGS ?=
INTEROP_FLAGS ?=
SILENT_FLAGS ?=
SILENCE_FLAGS ?=
CHURN_FLAGS ?=
IDLE_FLAGS ?=
PROXIES_FLAGS ?=
CHAOS_FLAGS ?=
TORTURE_FLAGS ?=
SPEED_FLAGS ?=
LEDGER_FLAGS ?= --requests 1000000
SIMULATION_FLAGS ?= --seeds 100000
POLICIES_FLAGS ?= --seeds 100000
WALKS ?= 100000
SEED ?=
SIMULATE_FLAGS ?=
BENCH_FLAGS ?=
FAULTS_FLAGS ?=
FUZZ_FLAGS ?=
FUZZ_SECONDS ?=
ONLY ?=
POLICY_COST_FLAGS ?=
PIPELINE_COST_FLAGS ?= --limit-microseconds 1.2 --limit-allocations 1.1

.DEFAULT_GOAL := help
.PHONY: help dependencies test demo examples integrations docs check format test-thread test-address planted-faults servers httpbin loopback identities http2 http2-wire http2-servers silent-path pipeline-cost policy-cost instructions bench speed clean fuzz silence churn ledger idle-race torture interop trust http2-fields streams stalled proxies simulate-client simulate fleet chaos policies walks

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dependencies:
	@Scripts/install-dependencies

test: dependencies ## Build everything and run the tests one after another, because several measure time
	$(SWIFT) build --build-tests
	@Scripts/with-failures --limit 25 $(SWIFT) test --skip-build --no-parallel

demo: dependencies ## Run the demo: an orders service that misbehaves, each order taken once
	$(SWIFT) run --package-path Examples Demo

examples: dependencies ## Build and run the examples, and the tests of the package trait Configuration
	@Scripts/install-dependencies --with-examples
	@SWIFT=$(SWIFT) Scripts/examples

integrations: dependencies ## Test the packages that connect Bowline with other packages, if those can be fetched
	@SWIFT=$(SWIFT) Scripts/integrations

docs: dependencies ## Build the reference documentation with DocC (a warning is an error), and compare the public API with Docs/API
	@SWIFT=$(SWIFT) Scripts/docs
	@Scripts/api-list

check: ## Check what the compiler does not: import walls, sizes, traps, formatting …
	@Scripts/check

format: ## Format the Swift sources in place
	@find Sources Tests Fuzz Examples Benchmarks Integrations -name '*.swift' -not -path '*/.build*' -print0 2>/dev/null \
		| xargs -0 $(SWIFT) format --in-place --parallel --configuration .swift-format Package.swift

test-thread: dependencies ## Run the tests under thread sanitizer
	$(SWIFT) build --build-tests --sanitize=thread -Xswiftc -DTHREAD_SANITIZER --scratch-path .build-tsan
	TSAN_OPTIONS="suppressions=$(CURDIR)/Scripts/thread-sanitizer.suppressions halt_on_error=0" \
		Scripts/with-failures --limit 90 $(SWIFT) test --skip-build --no-parallel --sanitize=thread -Xswiftc -DTHREAD_SANITIZER --scratch-path .build-tsan

test-address: dependencies ## Run the tests under address sanitizer
	$(SWIFT) build --build-tests --sanitize=address -Xswiftc -DADDRESS_SANITIZER --scratch-path .build-asan
	ASAN_OPTIONS=detect_leaks=0 \
		Scripts/with-failures --limit 60 $(SWIFT) test --skip-build --no-parallel --sanitize=address -Xswiftc -DADDRESS_SANITIZER --scratch-path .build-asan

planted-faults: dependencies ## Plant faults one at a time, and report which suite finds each (hours; FAULTS_FLAGS="--budget 60" for a part)
	@SWIFT=$(SWIFT) Scripts/planted-faults $(FAULTS_FLAGS)

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

identities: ## Present certificates with every kind of name to the tool, on sockets and over both protocols
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/tls-identities

http2: ## Drive the tool against a scripted HTTP/2 peer that goes away, refuses, stalls, lies and floods (h2 from PyPI)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/http2-checks
	@Scripts/http2-checks --tls

http2-wire: ## Test the HTTP/2 wire against hpack, hyperframe and h2 from PyPI, both ways (WIRE_FLAGS="--seed 7" replays)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build --build-tests
	@SWIFT=$(SWIFT) Scripts/http2-wire $(WIRE_FLAGS)

http2-servers: ## Drive the tool against nginx, nghttpd and HAProxy speaking HTTP/2 (HTTP2_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/http2-servers $(HTTP2_FLAGS)

proxies: ## Drive the tool through squid, tinyproxy, microsocks and Dante, which are killed under load (PROXIES_FLAGS=--short)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/proxies $(PROXIES_FLAGS)

http2-fields: ## Send large field sections to nginx, HAProxy, nghttpd and Node, and compare what arrives (FIELDS_FLAGS=--short)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/http2-fields $(FIELDS_FLAGS)

interop: ## Drive the tool against nine servers and print what works with each (INTEROP_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/interop $(INTEROP_FLAGS)

silent-path: ## Make the path to real servers silent under load, and count slow and failed requests (SILENT_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/silent-path $(SILENT_FLAGS)

silence: dependencies ## Make the path silent in every phase of a request, and measure how long until calls succeed (SILENCE_FLAGS=--short)
	$(SWIFT) build -c release --product bowline-trust
	@.build/release/bowline-trust silence $(SILENCE_FLAGS)

churn: dependencies ## Call 100 origins that misbehave for 10 minutes, and test that nothing grows (CHURN_FLAGS="--minutes 2")
	$(SWIFT) build -c release --product bowline-trust
	@.build/release/bowline-trust churn $(CHURN_FLAGS)

ledger: ## Compare the outcomes of a million requests, some through proxies, with what the service executed (SEED=n replays; LEDGER_FLAGS)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline-trust
	@Scripts/ledger $(LEDGER_FLAGS) $(if $(SEED),--seed $(SEED))

fleet: ## Run the example FleetLimit: four processes keep one quota, while the store is killed and comes back
	@Scripts/install-dependencies --with-examples
	$(SWIFT) run --package-path Examples FleetLimit

simulate: dependencies ## Simulate services that are slow, overloaded or down, with several kinds of clients (SIMULATE_FLAGS="--seeds 100", --write)
	$(SWIFT) build -c release --product bowline-trust
	@Scripts/simulate $(SIMULATE_FLAGS)

walks: dependencies ## Take 100,000 random walks through each machine of the resilience policies (WALKS=n)
	$(SWIFT) build --build-tests
	@BOWLINE_WALKS=$(WALKS) $(SWIFT) test --skip-build --no-parallel --filter \
		'(RateStateMachine|TokenSupply|BreakerStateMachine|ConcurrencyStateMachine|BalancerMachine|HedgingStateMachine)Tests/walk'

chaos: ## Kill, stop, slow and break one of five nginx under load, and compare with AsyncHTTPClient in a retry loop (CHAOS_FLAGS=--short)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	$(SWIFT) build -c release --package-path Benchmarks --product RetryLoopDriver
	@Scripts/chaos $(CHAOS_FLAGS)

simulate-client: dependencies ## Simulate the whole client on virtual time with 100,000 seeds, then all orders of events (SEED=n prints one; SIMULATION_FLAGS)
	@SWIFT=$(SWIFT) Scripts/simulate-client $(if $(SEED),--seed $(SEED),$(SIMULATION_FLAGS))

policies: dependencies ## Simulate all policies together on virtual time with 100,000 seeds (SEED=n prints one; POLICIES_FLAGS)
	@SWIFT=$(SWIFT) Scripts/policies $(if $(SEED),--seed $(SEED),$(POLICIES_FLAGS))

streams: dependencies ## Make a million requests while stream numbers run out and the peer pauses and goes away (SEED=n replays; STREAMS_FLAGS)
	$(SWIFT) build -c release --product bowline-trust
	@.build/release/bowline-trust streams $(STREAMS_FLAGS) $(if $(SEED),--seed $(SEED))

stalled: dependencies ## Measure the memory of unread responses that arrive in frames of one byte (STALLED_FLAGS=--short)
	$(SWIFT) build -c release --product bowline-trust
	@.build/release/bowline-trust stalled $(STALLED_FLAGS)

idle-race: ## Send requests while nginx, Apache and Node close unused connections (IDLE_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline-trust
	@Scripts/idle-race $(IDLE_FLAGS)

torture: ## Make the tool's system calls fail, one in each run (TORTURE_FLAGS=--short for a quick round)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	@Scripts/torture $(TORTURE_FLAGS)

pipeline-cost: dependencies ## Measure what the default pipeline adds to a request: time and allocations
	$(SWIFT) build -c release --package-path Benchmarks --product PipelineCost
	@Benchmarks/.build/release/PipelineCost $(PIPELINE_COST_FLAGS)

policy-cost: ## Count what each resilience policy adds to a call, and fail if it has risen (POLICY_COST_FLAGS=--write)
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --package-path Benchmarks --product PipelineCost
	@Scripts/policy-cost $(POLICY_COST_FLAGS)

instructions: ## Count the instructions of a request, and fail if the count has risen
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --package-path Benchmarks --product RequestCost
	@Scripts/instruction-guard

bench: ## Measure Bowline and other clients, the same work in turn (ONLY=h1-1k for a part; BENCH_FLAGS)
	@Scripts/install-dependencies --with-benchmarks
	$(SWIFT) build -c release --package-path Benchmarks
	@for peer in Benchmarks/Peers/*/build; do echo $$peer; $$peer || exit 1; done
	@Scripts/bench $(if $(ONLY),--only $(ONLY)) $(BENCH_FLAGS)

speed: ## Measure CPU per request against nginx, a core each, beside SwiftNIO alone
	@Scripts/install-dependencies --with-servers
	$(SWIFT) build -c release --product bowline
	$(SWIFT) build -c release --package-path Benchmarks --product NIOFloor
	@Scripts/speed $(SPEED_FLAGS)

trust: ## Look for unknown faults from outside: the short form of each part of Docs/Trust.md (about 25 minutes, with the builds)
	@SWIFT=$(SWIFT) Scripts/trust

fuzz: dependencies ## Fuzz the code that reads a peer's bytes, with libFuzzer (FUZZ_SECONDS=60 in all; FUZZ_FLAGS)
	@SWIFT=$(SWIFT) Scripts/fuzz $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS)) $(FUZZ_FLAGS)

clean: ## Remove the build products
	rm -rf .build .build-* Examples/.build Benchmarks/.build Integrations/*/.build
