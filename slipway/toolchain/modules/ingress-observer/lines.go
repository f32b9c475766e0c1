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
	buffer := make([]byte, 64<<10)
	// drain takes all lines that are there, waits for the first one if it may, and tells whether there was any.
	drain := func(mayWait bool) bool {
		flags := syscall.MSG_DONTWAIT
		if mayWait {
			flags = 0
		}
		for count := 0; ; count++ {
			size, _, err := syscall.Recvfrom(socket, buffer, flags)
			if err != nil {
				return count > 0 // none is there any more
			}
			seen.take(buffer[:size], limit, pods, printed)
			flags = syscall.MSG_DONTWAIT
		}
	}
	for busy := false; ctx.Err() == nil; {
		if busy = drain(!busy); busy {
			time.Sleep(gather)
		}
	}
	drain(false)
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
