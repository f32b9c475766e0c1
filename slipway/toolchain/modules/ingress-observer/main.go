// ingress-observer says what a HAProxy beside it does, by pod and colour, and can change nothing.
//
// HAProxy's own exporter counts by server, and a server is a slot that gets other addresses over time. So requests are
// taken from HAProxy's log lines, which name the address that answered, and weights from its runtime API, over a socket
// of the level "operator", which may look and not touch. Addresses become pods and colours by watching the pods. Each
// request is printed as a line of JSON, for whoever collects what pods print.
//
// GET /metrics is for Prometheus, GET /servers for the rollout controller; both over TLS and with a bearer token.
package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const readTimeout = 5 * time.Second

type options struct {
	socket, logs, listen, certificate, key, token, server string
	limit, poll                                           time.Duration
}

func parse() options {
	var o options
	flag.StringVar(&o.socket, "socket", "/var/run/observer/haproxy.sock", "HAProxy's runtime API, level operator")
	flag.StringVar(&o.logs, "logs", "127.0.0.1:1514", "UDP address that HAProxy logs to")
	flag.StringVar(&o.listen, "listen", ":9102", "address to serve on")
	flag.StringVar(&o.certificate, "tls-certificate", "/run/secrets/observer/tls.crt", "certificate, PEM")
	flag.StringVar(&o.key, "tls-key", "/run/secrets/observer/tls.key", "its key, PEM")
	flag.StringVar(&o.token, "token-file", "/run/secrets/observer/token", "file with the token that readers must give")
	flag.StringVar(&o.server, "server", "", "address of the Kubernetes API; the pod's own if left out")
	flag.DurationVar(&o.limit, "limit", 10*time.Second, "an answer that takes longer counts as failed")
	flag.DurationVar(&o.poll, "poll", time.Second, "how often failed attempts are read from HAProxy")
	flag.Parse()
	return o
}

// guarded lets requests through that carry the token. The file is read each time: a token may be changed in place.
func guarded(file string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := os.ReadFile(file)
		wanted := "Bearer " + strings.TrimSpace(string(token))
		given := r.Header.Get("Authorization")
		if err != nil || wanted == "Bearer " || subtle.ConstantTimeCompare([]byte(given), []byte(wanted)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// renewed reads the certificate at each handshake, as it is renewed in place. The two files are not read in one moment,
// so while they do not fit each other, or cannot be read, the last pair serves.
type renewed struct {
	certificate, key string
	last             atomic.Pointer[tls.Certificate]
}

func (r *renewed) pair(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	found, err := tls.LoadX509KeyPair(r.certificate, r.key)
	if err == nil {
		r.last.Store(&found)
		return &found, nil
	}
	if last := r.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

func routes(o options, registry *prometheus.Registry, haproxy *runtimeAPI, pods *pods) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.Handle("GET /metrics", guarded(o.token, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	mux.Handle("GET /servers", guarded(o.token, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		view, err := haproxy.view(pods)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(view)
	})))
	return mux
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	seen := newMetrics(registry)
	known, err := watchPods(ctx, o.server, seen)
	if err != nil {
		return err
	}
	haproxy := &runtimeAPI{socket: o.socket}
	registry.MustRegister(&serversCollector{haproxy: haproxy, pods: known})
	lines, err := listen(o.logs)
	if err != nil {
		return err
	}
	printed, reading := newAccess(), make(chan struct{})
	go printed.write(os.Stdout)
	go func() {
		readLogs(ctx, lines, o.limit, known, seen, printed)
		close(reading)
	}()
	go watchAttempts(ctx, o.poll, haproxy, known, seen)
	own := &renewed{certificate: o.certificate, key: o.key}
	if _, err = own.pair(nil); err != nil {
		return err
	}
	server := &http.Server{
		Addr:              o.listen,
		Handler:           routes(o, registry, haproxy, known),
		ReadHeaderTimeout: readTimeout,
		TLSConfig:         &tls.Config{GetCertificate: own.pair, MinVersion: tls.VersionTLS12},
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServeTLS("", "") }()
	slog.Info("observing", "socket", o.socket, "logs", o.logs, "listen", o.listen)
	select {
	case err = <-failed:
		return err
	case <-ctx.Done():
		// A sidecar is told to end after HAProxy has ended: nothing comes any more.
		<-reading
		printed.close(readTimeout)
		return nil
	}
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err := run(parse()); err != nil {
		slog.Error("cannot observe", "error", err.Error())
		os.Exit(1)
	}
}
