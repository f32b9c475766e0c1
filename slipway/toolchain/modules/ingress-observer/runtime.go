package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const socketTimeout = 3 * time.Second

// runtimeAPI asks HAProxy. The socket's level is what keeps it from changing anything; here nothing tries to.
type runtimeAPI struct{ socket string }

func (r *runtimeAPI) ask(command string) (string, error) {
	connection, err := net.DialTimeout("unix", r.socket, socketTimeout)
	if err != nil {
		return "", fmt.Errorf("HAProxy's socket cannot be reached: %w", err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(socketTimeout))
	if _, err = io.WriteString(connection, command+"\n"); err != nil {
		return "", fmt.Errorf("HAProxy was not asked: %w", err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return "", fmt.Errorf("HAProxy did not answer %q: %w", command, err)
	}
	return string(answer), nil
}

// process tells one HAProxy from the next: a reload is another pid.
type process struct {
	Pid     int   `json:"pid"`
	Started int64 `json:"started"`
}

// server is a slot as it stands now. Weight is in force, which is 0 also for a slot that takes no requests.
type server struct {
	Backend   string `json:"backend"`
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Slot      string `json:"slot"`
	Address   string `json:"address"`
	State     string `json:"state"`
	Weight    int    `json:"weight"`
	Sessions  int    `json:"sessions"`
	Queued    int    `json:"queued"`
	Pod       string `json:"pod"`
	Colour    string `json:"colour"`
	Version   string `json:"version"`

	behind                 backend
	pod                    pod
	connections, responses float64
}

type view struct {
	Process process  `json:"process"`
	Servers []server `json:"servers"`
}

func parseInfo(text string) (process, error) {
	found := map[string]string{}
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		name, value, _ := strings.Cut(scanner.Text(), ": ")
		found[name] = value
	}
	pid, err := strconv.Atoi(found["Pid"])
	if err != nil {
		return process{}, fmt.Errorf("HAProxy's `show info` names no Pid: %w", err)
	}
	uptime, err := strconv.ParseInt(found["Uptime_sec"], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("HAProxy's `show info` names no Uptime_sec: %w", err)
	}
	return process{pid, time.Now().Unix() - uptime}, nil
}

func parseStat(text string, pods *pods) ([]server, error) {
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("HAProxy's `show stat` is no table: %v", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	if _, names := column["addr"]; !names {
		return nil, fmt.Errorf("HAProxy's `show stat` has no addresses: its socket needs the level operator")
	}
	servers := []server{}
	for _, row := range rows[1:] {
		text := func(name string) string {
			if i, has := column[name]; has && i < len(row) {
				return row[i]
			}
			return ""
		}
		number := func(name string) int {
			value, _ := strconv.Atoi(text(name)) // empty where HAProxy has nothing to say
			return value
		}
		behind, serves := parseBackend(text("pxname"))
		if !serves {
			continue
		}
		it := server{
			Backend: text("pxname"), Namespace: behind.namespace, Service: behind.service,
			Slot: text("svname"), Address: text("addr"), State: text("status"),
			Weight: number("weight"), Sessions: number("scur"), Queued: number("qcur"), behind: behind,
			connections: float64(number("econ")), responses: float64(number("eresp")),
		}
		if strings.HasPrefix(it.State, "MAINT") || strings.HasPrefix(it.State, "DOWN") {
			it.Weight = 0
		}
		if host, _, err := net.SplitHostPort(it.Address); err == nil {
			it.pod = pods.at(host)
			it.Pod, it.Colour, it.Version = it.pod.name, it.pod.colour, it.pod.version
		}
		servers = append(servers, it)
	}
	return servers, nil
}

func (r *runtimeAPI) view(pods *pods) (view, error) {
	// Both in one connection: they speak of the same process.
	answer, err := r.ask("show info;show stat -1 4 -1")
	if err != nil {
		return view{}, err
	}
	info, stat, found := strings.Cut(answer, "# pxname")
	if !found {
		return view{}, fmt.Errorf("HAProxy's `show stat` has no header")
	}
	process, err := parseInfo(info)
	if err != nil {
		return view{}, err
	}
	servers, err := parseStat("pxname"+stat, pods)
	return view{process, servers}, err
}

// free says whether a slot waits for a pod.
func (s server) free() bool { return s.pod.ip == "" && strings.HasPrefix(s.State, "MAINT") }

// attempts adds what went wrong since the last look to the pod that was in the slot then: a slot's counters go on when
// it gets another address, and its new pod is not to blame for its last one.
type attempts struct {
	pid  int
	last map[string]server
}

func (a *attempts) add(now view, seen *metrics) {
	next := make(map[string]server, len(now.Servers))
	for _, it := range now.Servers {
		key := it.Backend + "/" + it.Slot
		next[key] = it
		if it.pod.ip != "" {
			seen.announce(it.behind, it.pod)
		}
		before, known := a.last[key]
		switch {
		case a.last == nil:
			before = it // what was counted before we looked is not ours to tell
		case a.pid != now.Process.Pid:
			before = server{Address: it.Address} // a new process counts from 0
		}
		blamed := it
		if known && before.Address != it.Address {
			blamed = before
		}
		if blamed.pod.ip == "" {
			continue
		}
		labels := blamed.pod.labels(blamed.behind)
		seen.attempts.WithLabelValues(append(labels, "connection")...).Add(max(it.connections-before.connections, 0))
		seen.attempts.WithLabelValues(append(labels, "response")...).Add(max(it.responses-before.responses, 0))
	}
	a.pid, a.last = now.Process.Pid, next
}

func watchAttempts(ctx context.Context, every time.Duration, haproxy *runtimeAPI, pods *pods, seen *metrics) {
	looks := time.NewTicker(every)
	defer looks.Stop()
	state, silent := &attempts{}, false
	for {
		now, err := haproxy.view(pods)
		if err == nil {
			state.add(now, seen)
		}
		if (err != nil) != silent {
			silent = err != nil
			slog.Info("HAProxy's runtime API", "answers", !silent, "error", fmt.Sprint(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
		}
	}
}

// serversCollector asks at each scrape; no answer is no series, never an old one.
type serversCollector struct {
	haproxy *runtimeAPI
	pods    *pods
}

var (
	weight = prometheus.NewDesc("slipway_ingress_server_weight",
		"Weight in force, as HAProxy holds it.", byPod, nil)
	sessions  = prometheus.NewDesc("slipway_ingress_server_sessions", "Requests in flight to a pod.", byPod, nil)
	freeSlots = prometheus.NewDesc("slipway_ingress_free_slots",
		"Slots that can take another pod without a reload.", []string{"namespace", "service"}, nil)
	up      = prometheus.NewDesc("slipway_ingress_up", "Whether HAProxy's runtime API answers.", nil, nil)
	started = prometheus.NewDesc("slipway_ingress_process_start_time_seconds",
		"When the HAProxy that answers began; another value is a reload.", nil, nil)
)

func (*serversCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{weight, sessions, freeSlots, up, started} {
		to <- desc
	}
}

func (c *serversCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	now, err := c.haproxy.view(c.pods)
	if err != nil {
		gauge(up, 0)
		return
	}
	gauge(up, 1)
	gauge(started, float64(now.Process.Started))
	free := map[backend]float64{}
	known := map[string]bool{}
	for _, it := range now.Servers {
		key := it.behind
		key.port = ""
		free[key] += 0
		if it.free() {
			free[key]++
		}
		// A Service with two ports is two backends; the first stands for it.
		id := it.Namespace + "/" + it.Service + "/" + it.Pod
		if it.pod.ip == "" || known[id] {
			continue
		}
		known[id] = true
		gauge(weight, float64(it.Weight), it.pod.labels(it.behind)...)
		gauge(sessions, float64(it.Sessions), it.pod.labels(it.behind)...)
	}
	for key, count := range free {
		gauge(freeSlots, count, key.namespace, key.service)
	}
}
