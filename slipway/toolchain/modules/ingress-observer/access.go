package main

import (
	"bufio"
	"encoding/json"
	"io"
	"time"
)

// Requests that wait to be printed at most. Whoever reads the output may stand still; the numbers must not.
const waiting = 4096

// entry is one request that has ended.
type entry struct {
	at      time.Time
	line    line
	outcome string
	by      pod
}

// access prints a line of JSON for each request, with names of the Elastic Common Schema.
type access struct {
	entries chan entry
	done    chan struct{}
}

// What ECS calls the three outcomes.
var outcomes = map[string]string{ok: "success", failed: "failure", aborted: "unknown"}

type document struct {
	At         time.Time `json:"@timestamp"`
	Version    string    `json:"ecs.version"`
	Level      string    `json:"log.level"`
	Message    string    `json:"message"`
	Service    string    `json:"service.name"`
	Dataset    string    `json:"event.dataset"`
	Outcome    string    `json:"event.outcome"`
	Duration   int64     `json:"event.duration"`
	Request    string    `json:"http.request.id,omitempty"`
	Method     string    `json:"http.request.method,omitempty"`
	Status     int       `json:"http.response.status_code,omitempty"`
	Bytes      int       `json:"http.response.bytes"`
	Path       string    `json:"url.path,omitempty"`
	Trace      string    `json:"trace.id,omitempty"`
	Client     string    `json:"client.ip,omitempty"`
	Colour     string    `json:"labels.colour,omitempty"`
	Pod        string    `json:"labels.pod,omitempty"`
	PodVersion string    `json:"labels.version,omitempty"`
	Backend    string    `json:"haproxy.backend_name"`
	State      string    `json:"haproxy.termination_state"`
	Queue      int       `json:"haproxy.time_queue"`
	Connect    int       `json:"haproxy.time_backend_connect"`
	Answer     int       `json:"haproxy.time_server_response"`
	Retries    int       `json:"haproxy.connections.retries"`
}

func (e entry) document() document {
	l, level := e.line, "info"
	if e.outcome == failed {
		level = "error" // of what never reached a pod nobody else tells
	}
	return document{
		At: e.at.UTC(), Version: "8.17.0", Level: level, Message: "request", Service: "haproxy",
		Dataset: "ingress.access", Outcome: outcomes[e.outcome], Duration: int64(l.total) * int64(time.Millisecond),
		Request: l.request, Method: l.method, Status: max(l.status, 0), Bytes: l.bytes, Path: l.path, Trace: l.trace,
		Client: l.client, Colour: e.by.colour, Pod: e.by.name, PodVersion: e.by.version, Backend: l.backend,
		State: l.state, Queue: l.queue, Connect: l.connect, Answer: l.answer, Retries: l.retries,
	}
}

func newAccess() *access { return &access{make(chan entry, waiting), make(chan struct{})} }

// add hands a request over without ever waiting; false if there is no room.
func (a *access) add(e entry) bool {
	select {
	case a.entries <- e:
		return true
	default:
		return false
	}
}

// write prints until close; those at once that come in the same moment.
func (a *access) write(to io.Writer) {
	defer close(a.done)
	out := bufio.NewWriterSize(to, 64<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for e := range a.entries {
		_ = encoder.Encode(e.document())
		if len(a.entries) == 0 {
			_ = out.Flush()
			time.Sleep(gather)
		}
	}
	_ = out.Flush()
}

// close prints what still waits, but not for ever.
func (a *access) close(patience time.Duration) {
	close(a.entries)
	select {
	case <-a.done:
	case <-time.After(patience):
	}
}
