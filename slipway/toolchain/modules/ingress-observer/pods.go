package main

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	colourLabel   = "slipway.dev/colour"
	versionLabel  = "app.kubernetes.io/version"
	revisionLabel = "slipway.dev/revision"
	// Long enough for every window that a rule looks back over.
	remembered = 15 * time.Minute
)

type pod struct{ namespace, name, ip, colour, version string }

// labels are the values of byPod. Namespace and service are the backend's: it is what was asked for.
func (p pod) labels(behind backend) []string {
	return []string{behind.namespace, behind.service, p.colour, p.version, p.name}
}

// pods knows who has, or had last, an address. A pod that is gone keeps its address until another takes it: lines about
// its last requests are still to come.
type pods struct {
	mutex sync.RWMutex
	byIP  map[string]pod
}

func (p *pods) at(ip string) pod {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	return p.byIP[ip]
}

func (p *pods) put(object any) {
	it, is := object.(*corev1.Pod)
	if !is || it.Status.PodIP == "" || it.Spec.HostNetwork || it.Status.Phase == corev1.PodSucceeded || it.Status.Phase == corev1.PodFailed {
		return
	}
	version := it.Labels[versionLabel]
	if version == "" {
		version = it.Labels[revisionLabel] // what the rollout controller calls it, where the pods say nothing themselves
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.byIP[it.Status.PodIP] = pod{it.Namespace, it.Name, it.Status.PodIP, it.Labels[colourLabel], version}
}

func (p *pods) drop(object any, seen *metrics) {
	if last, is := object.(cache.DeletedFinalStateUnknown); is {
		object = last.Obj
	}
	it, is := object.(*corev1.Pod)
	if !is {
		return
	}
	time.AfterFunc(remembered, func() {
		seen.forget(it.Namespace, it.Name)
		p.mutex.Lock()
		defer p.mutex.Unlock()
		if p.byIP[it.Status.PodIP].name == it.Name {
			delete(p.byIP, it.Status.PodIP)
		}
	})
}

// slim keeps what is needed of a pod; the cache would otherwise hold every specification of the cluster.
func slim(object any) (any, error) {
	it, is := object.(*corev1.Pod)
	if !is {
		return object, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: it.Namespace, Name: it.Name, UID: it.UID, ResourceVersion: it.ResourceVersion, Labels: it.Labels,
		},
		Spec:   corev1.PodSpec{HostNetwork: it.Spec.HostNetwork},
		Status: corev1.PodStatus{PodIP: it.Status.PodIP, Phase: it.Status.Phase},
	}, nil
}

// watchPods follows all pods that have a colour. It does not wait for the first answer: without the API server HAProxy
// serves on, and so do its numbers, without colours until it is back.
func watchPods(ctx context.Context, server string, seen *metrics) (*pods, error) {
	config := &rest.Config{Host: server}
	if server == "" {
		var err error
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, err
		}
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	known := &pods{byIP: map[string]pod{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTransform(slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = colourLabel }))
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    known.put,
		UpdateFunc: func(_, now any) { known.put(now) },
		DeleteFunc: func(last any) { known.drop(last, seen) },
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	return known, nil
}
