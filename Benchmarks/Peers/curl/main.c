// Drives libcurl's multi interface with sockets (curl_multi_socket_action over epoll). It has one multi handle, and one
// easy handle per worker, which is reused. The connection cache is as large as the concurrency. The receive buffers are
// large, for large bodies.

#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct work {
    const char *url, *authority;
    long in_flight, count, warmup, expected, sent;
    bool is_idle, is_compressed, is_http2;
};

struct run {
    CURLM *multi;
    const struct work *work;
    int epoll;
    long timeout_ms;
    long started, finished, count, failed;
    int64_t bytes;
    uint32_t *latencies; // Nanoseconds; NULL: not kept.
};

struct worker {
    CURL *easy;
    struct run *run;
    int64_t start, length;
};

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static long resident_kibibytes(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long found = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL && sscanf(line, "VmRSS: %ld", &found) != 1) {}
    if (file != NULL) fclose(file);
    return found;
}

static size_t received(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    ((struct worker *)context)->length += (int64_t)(size * count);
    return size * count;
}

static int socket_changed(CURL *easy, curl_socket_t socket, int what, void *context, void *known) {
    (void)easy;
    struct run *run = context;
    struct epoll_event event = {.data.fd = socket};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(run->epoll, EPOLL_CTL_DEL, socket, NULL);
        curl_multi_assign(run->multi, socket, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
    if (epoll_ctl(run->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event) != 0 && errno == EEXIST)
        epoll_ctl(run->epoll, EPOLL_CTL_MOD, socket, &event);
    curl_multi_assign(run->multi, socket, run);
    return 0;
}

static int timer_changed(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    ((struct run *)context)->timeout_ms = timeout_ms;
    return 0;
}

static void set_up(struct worker *worker, const struct work *work, const char *body) {
    CURL *easy = curl_easy_init();
    worker->easy = easy;
    curl_easy_setopt(easy, CURLOPT_URL, work->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, worker);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, received);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, worker);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (work->expected > 65536) curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    if (work->authority != NULL) curl_easy_setopt(easy, CURLOPT_CAINFO, work->authority);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, work->is_http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    if (work->is_http2) curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    if (work->is_compressed) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (work->sent >= 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, work->sent);
    }
}

static void begin(struct worker *worker) {
    worker->run->started++;
    worker->length = 0;
    worker->start = read_clock(CLOCK_MONOTONIC);
    curl_multi_add_handle(worker->run->multi, worker->easy);
}

static void ended(struct worker *worker, CURLcode code) {
    struct run *run = worker->run;
    long status = 0;
    curl_easy_getinfo(worker->easy, CURLINFO_RESPONSE_CODE, &status);
    bool is_good = code == CURLE_OK && status == 200 && (run->work->expected < 0 || worker->length == run->work->expected);
    if (!is_good) {
        if (run->failed == 0) fprintf(stderr, "%s, status %ld, %" PRId64 " bytes\n", curl_easy_strerror(code), status, worker->length);
        run->failed++;
    } else {
        run->bytes += worker->length;
    }
    int64_t passed = read_clock(CLOCK_MONOTONIC) - worker->start;
    if (run->latencies != NULL) run->latencies[run->finished] = passed > UINT32_MAX ? UINT32_MAX : (uint32_t)passed;
    run->finished++;
    curl_multi_remove_handle(run->multi, worker->easy);
    if (run->started < run->count) begin(worker);
}

static void drive(struct run *run, struct worker *workers, long in_flight) {
    run->started = run->finished = run->failed = run->bytes = 0;
    run->timeout_ms = 0;
    for (long index = 0; index < in_flight && index < run->count; index++) {
        workers[index].run = run;
        begin(&workers[index]);
    }
    struct epoll_event events[256];
    int running = 0;
    while (run->finished < run->count) {
        int ready = epoll_wait(run->epoll, events, 256, run->timeout_ms < 0 ? 1000 : (int)run->timeout_ms);
        if (ready == 0) {
            run->timeout_ms = -1; // It fires once.
            curl_multi_socket_action(run->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (int index = 0; index < ready; index++) {
            int flags = (events[index].events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events[index].events & EPOLLOUT ? CURL_CSELECT_OUT : 0)
                | (events[index].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(run->multi, events[index].data.fd, flags, &running);
        }
        int left;
        for (CURLMsg *message; (message = curl_multi_info_read(run->multi, &left)) != NULL;) {
            if (message->msg != CURLMSG_DONE) continue;
            struct worker *worker = NULL;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&worker);
            ended(worker, code);
        }
    }
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double percentile(const struct run *run, double share) {
    long index = (long)(share * (double)run->count);
    return run->latencies[index < run->count ? index : run->count - 1] / 1000.0;
}

static void measure(struct run *run, struct worker *workers, const char *name) {
    const struct work *work = run->work;
    run->count = work->warmup;
    drive(run, workers, work->in_flight);
    run->count = work->count;
    run->latencies = calloc((size_t)work->count, sizeof *run->latencies);
    int64_t start = read_clock(CLOCK_MONOTONIC), processor = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    drive(run, workers, work->in_flight);
    double seconds = (double)(read_clock(CLOCK_MONOTONIC) - start) / 1e9;
    double cpu = (double)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - processor) / 1e9;
    qsort(run->latencies, (size_t)run->count, sizeof *run->latencies, by_size);
    printf("{\"client\": \"%s\", \"requests\": %ld, \"failed\": %ld, \"bytes\": %" PRId64 ", \"seconds\": %f, \"cpu\": %f, "
           "\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, \"allocations\": null}\n",
           name, run->count, run->failed, run->bytes, seconds, cpu, percentile(run, 0.5), percentile(run, 0.99),
           percentile(run, 0.999), percentile(run, 1));
    free(run->latencies);
}

static void hold_connections(struct run *run, struct worker *workers, const char *name) {
    run->count = 1;
    drive(run, workers, 1);
    long failed = run->failed, before = resident_kibibytes();
    run->count = run->work->count;
    drive(run, workers, run->work->count);
    sleep(1);
    run->failed += failed;
    printf("{\"client\": \"%s\", \"connections\": %ld, \"failed\": %ld, \"before\": %ld, \"after\": %ld}\n", name,
           run->work->count, run->failed, before, resident_kibibytes());
    fflush(stdout);
    while (getchar() != EOF) {}
}

static int misuse(void) {
    fputs("usage: curl requests URL -c C -n N --warmup W [--ca FILE] [--expect BYTES] [--send BYTES] [--gzip] [--h2]\n"
          "       curl idle URL -n K [--ca FILE] [--expect BYTES]\n", stderr);
    return 64;
}

int main(int count, char **words) {
    struct work work = {.in_flight = 1, .count = 1, .expected = -1, .sent = -1};
    if (count < 3 || (strcmp(words[1], "requests") != 0 && strcmp(words[1], "idle") != 0)) return misuse();
    work.is_idle = strcmp(words[1], "idle") == 0;
    work.url = words[2];
    for (int index = 3; index < count; index++) {
        if (strcmp(words[index], "--gzip") == 0) { work.is_compressed = true; continue; }
        if (strcmp(words[index], "--h2") == 0) { work.is_http2 = true; continue; }
        if (index + 1 == count) return misuse();
        const char *option = words[index++];
        if (strcmp(option, "--ca") == 0) work.authority = words[index];
        else if (strcmp(option, "-c") == 0) work.in_flight = atol(words[index]);
        else if (strcmp(option, "-n") == 0) work.count = atol(words[index]);
        else if (strcmp(option, "--warmup") == 0) work.warmup = atol(words[index]);
        else if (strcmp(option, "--expect") == 0) work.expected = atol(words[index]);
        else if (strcmp(option, "--send") == 0) work.sent = atol(words[index]);
        else return misuse();
    }
    if (work.count < 1 || work.in_flight < 1) return misuse();
    long handles = work.is_idle ? work.count : work.in_flight;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct run run = {.multi = curl_multi_init(), .work = &work, .epoll = epoll_create1(0)};
    curl_multi_setopt(run.multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(run.multi, CURLMOPT_SOCKETDATA, &run);
    curl_multi_setopt(run.multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(run.multi, CURLMOPT_TIMERDATA, &run);
    curl_multi_setopt(run.multi, CURLMOPT_MAXCONNECTS, handles);
    if (work.is_http2) curl_multi_setopt(run.multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    char *body = malloc(work.sent > 0 ? (size_t)work.sent : 1);
    memset(body, 'a', work.sent > 0 ? (size_t)work.sent : 1);
    struct worker *workers = calloc((size_t)handles, sizeof *workers);
    for (long index = 0; index < handles; index++) set_up(&workers[index], &work, body);
    char name[128];
    curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    snprintf(name, sizeof name, "libcurl %s, %s", version->version, version->ssl_version);
    if (work.is_idle) hold_connections(&run, workers, name);
    else measure(&run, workers, name);
    return run.failed == 0 ? 0 : 1;
}
