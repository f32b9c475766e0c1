package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Lines wait for so long that many are taken, and printed, at once: to be woken for one costs more than to read it, and
// HAProxy and the services want the same processors. The room of a socket holds five hundred and more.
const gather = 50 * time.Millisecond

// Where none came meanwhile the next one is waited for, and the end is looked for so often.
const look = 500 * time.Millisecond

// listen opens the socket that HAProxy logs to. It is not of package net, by which Go is woken for each line.
func listen(at string) (int, error) {
	address, err := netip.ParseAddrPort(at)
	if err != nil || !address.Addr().Is4() {
		return 0, fmt.Errorf("--logs is %q; it must be an address of IPv4 and a port, as 127.0.0.1:1514", at)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<20) // as much as the node allows: for a stall
	wait := syscall.NsecToTimeval(int64(look))
	if err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil {
		return 0, fmt.Errorf("--logs is %s: %w", at, os.NewSyscallError("bind", err))
	}
	return fd, nil
}

// readLogs counts and prints lines until ctx ends, and then those that are there already.
func readLogs(ctx context.Context, socket int, limit time.Duration, pods *pods, seen *metrics, printed *access) {
	buffer, busy := make([]byte, 64<<10), false
	for ending := false; !ending; {
		ending = ctx.Err() != nil
		flags := 0
		if busy || ending {
			flags = syscall.MSG_DONTWAIT
		}
		for busy = false; ; busy, flags = true, syscall.MSG_DONTWAIT {
			size, _, err := syscall.Recvfrom(socket, buffer, flags)
			if err != nil {
				break // none is there
			}
			seen.take(buffer[:size], limit, pods, printed)
		}
		if busy {
			time.Sleep(gather)
		}
	}
}

// take counts a line, and prints it if it is about a request.
func (m *metrics) take(raw []byte, limit time.Duration, pods *pods, printed *access) {
	m.lines.Inc()
	l, readable := parseLine(raw)
	if !readable {
		m.unreadable.Inc()
		return
	}
	by, outcome := pods.at(l.address), l.outcome(limit)
	m.count(l, outcome, by)
	if !printed.add(entry{time.Now(), l, outcome, by}) {
		m.unprinted.Inc()
	}
}
