package main

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Buckets in seconds. HAProxy counts whole milliseconds, so finer ones would promise too much.
var buckets = []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

var (
	byPod    = []string{"namespace", "service", "colour", "version", "pod"}
	byColour = byPod[:4]
)

const (
	ok      = "ok"
	failed  = "failed"  // the service, or HAProxy in its place, did not answer as it should
	aborted = "aborted" // the client went away first; nobody's failure, and no success either
)

type metrics struct {
	requests   *prometheus.CounterVec
	responses  *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	attempts   *prometheus.CounterVec
	retries    *prometheus.CounterVec
	lines      prometheus.Counter
	unreadable prometheus.Counter
	unprinted  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_ingress_" + name, Help: help}, labels)
		registry.MustRegister(vec)
		return vec
	}
	with := func(labels []string, more ...string) []string { return append(append([]string{}, labels...), more...) }
	m := &metrics{
		requests: counter("requests_total",
			"Requests that HAProxy has finished, by the pod that answered last and how it went.", with(byPod, "outcome")...),
		responses: counter("responses_total", "The same by status code; code none: no answer.", with(byColour, "code")...),
		attempts: counter("attempts_failed_total",
			"Attempts to reach a pod that failed, also those that a retry made good.", with(byPod, "kind")...),
		retries: counter("retries_total", "Retries, by service.", "namespace", "service"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slipway_ingress_request_seconds",
			Help:    "From a request's last header to the answer's: queue, connection and the pod's time.",
			Buckets: buckets,
		}, byColour),
	}
	lines := counter("log_lines_total", "Log lines received from HAProxy.")
	unreadable := counter("log_lines_unreadable_total", "Log lines that are about no request: HAProxy's notices.")
	unprinted := counter("log_lines_unprinted_total", "Requests whose line was not printed: nobody read the lines before.")
	m.lines, m.unreadable, m.unprinted = lines.WithLabelValues(), unreadable.WithLabelValues(), unprinted.WithLabelValues()
	registry.MustRegister(m.seconds)
	return m
}

// announce makes a pod's series with the value 0, so that its first failure is an increase and not a beginning.
func (m *metrics) announce(backend backend, pod pod) {
	labels := pod.labels(backend)
	for _, outcome := range []string{ok, failed, aborted} {
		m.requests.WithLabelValues(append(labels, outcome)...)
	}
	m.seconds.WithLabelValues(labels[:4]...)
}

func (m *metrics) forget(namespace, name string) {
	gone := prometheus.Labels{"namespace": namespace, "pod": name}
	m.requests.DeletePartialMatch(gone)
	m.attempts.DeletePartialMatch(gone)
}

// backend is the Service behind one of haproxy-ingress's backends, which are named namespace_service_port; no part can
// hold an underscore.
type backend struct{ namespace, service, port string }

func parseBackend(name string) (backend, bool) {
	parts := strings.Split(name, "_")
	if len(parts) != 3 || parts[0] == "" {
		return backend{}, false // HAProxy's own: errors, redirects
	}
	return backend{parts[0], parts[1], parts[2]}, true
}

// line is what HAProxy says of one request; times in milliseconds, -1 for what was not reached.
type line struct {
	backend                                       string
	address                                       string
	status                                        int
	state                                         string
	queue, connect, answer, total, retries, bytes int
	client, method, request, trace, path          string
}

// parseLine reads "%b %si %ST %ts %Tw %Tc %Tr %Ta %rc %B %ci %HM", the identifiers of request and trace, and "%HPO", the
// one that HAProxy may cut (infra/components/ingress_observer.py writes it there).
func parseLine(raw []byte) (line, bool) {
	fields := bytes.Fields(raw)
	if len(fields) != 15 || len(fields[3]) != 2 {
		return line{}, false
	}
	var numbers [7]int
	for i, at := range []int{2, 4, 5, 6, 7, 8, 9} {
		// A "+" before total and bytes: the line was written early; before the retries: the last one went to another pod.
		number, err := strconv.Atoi(strings.TrimPrefix(string(fields[at]), "+"))
		if err != nil {
			return line{}, false
		}
		numbers[i] = number
	}
	return line{
		string(fields[0]), string(fields[1]), numbers[0], string(fields[3]),
		numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6],
		said(fields[10]), said(fields[11]), said(fields[12]), said(fields[13]), said(fields[14]),
	}, true
}

// said is empty for what HAProxy has nothing to say of.
func said(field []byte) string {
	if text := string(field); text != "-" && text != "<BADREQ>" {
		return text
	}
	return ""
}

func (l line) took() time.Duration {
	if l.answer < 0 {
		return time.Duration(l.total) * time.Millisecond
	}
	// Milliseconds are cut off, so on average half of one is missing.
	return time.Duration(max(l.queue, 0)+max(l.connect, 0)+l.answer)*time.Millisecond + 500*time.Microsecond
}

// outcome follows what the project calls failed: no answer, a server's error, an answer cut short, or one too late.
func (l line) outcome(limit time.Duration) string {
	switch by := l.state[0]; {
	case l.status >= 500 || by == 'S' || by == 's':
		return failed
	case by == 'C' || by == 'c':
		return aborted
	case l.status < 100 || l.took() > limit:
		return failed
	default:
		return ok
	}
}

func (m *metrics) count(l line, outcome string, by pod) {
	behind, serves := parseBackend(l.backend)
	if !serves {
		return
	}
	labels := by.labels(behind)
	m.requests.WithLabelValues(append(labels, outcome)...).Inc()
	code := "none"
	if l.status >= 100 {
		code = strconv.Itoa(l.status)
	}
	m.responses.WithLabelValues(append(labels[:4:4], code)...).Inc()
	if outcome != aborted {
		m.seconds.WithLabelValues(labels[:4]...).Observe(l.took().Seconds())
	}
	m.retries.WithLabelValues(behind.namespace, behind.service).Add(float64(max(l.retries, 0)))
}
