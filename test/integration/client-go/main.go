// A program as people write them on client-go, with its defaults: typed clients, shared informers, leader election.
//
// It reads commands from standard input, one a line, and answers each with one line: "ok ..." or "error ...". So a test can
// restart the API server between two commands while the informers live on.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

const namespace = "default"

type program struct {
	client     kubernetes.Interface
	configMaps corev1listers.ConfigMapLister
	secrets    corev1listers.SecretLister
	added      atomic.Int64
	updated    atomic.Int64
	deleted    atomic.Int64
	terms      atomic.Int64
	endTerm    context.CancelFunc
	ended      chan struct{}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		fail(err)
	}
	// What the manager of a controller sets: both are what the typed client negotiates for built-in kinds.
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if os.Getenv("CLIENT_DEFAULTS") == "1" {
		config.ContentType, config.AcceptContentTypes = "", ""
	}
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		fail(err)
	}
	ctx := context.Background()
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	p := &program{
		client:     client,
		configMaps: factory.Core().V1().ConfigMaps().Lister(),
		secrets:    factory.Core().V1().Secrets().Lister(),
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().ConfigMaps().Informer(),
		factory.Core().V1().Secrets().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { p.added.Add(1) },
			UpdateFunc: func(any, any) { p.updated.Add(1) },
			DeleteFunc: func(any) { p.deleted.Add(1) },
		}); err != nil {
			fail(err)
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			fail(fmt.Errorf("%v was not synchronised", kind))
		}
	}
	fmt.Println("ready")

	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		if len(words) == 0 {
			continue
		}
		answer, err := p.do(ctx, words[0], words[1:])
		if err != nil {
			fmt.Printf("error %s %v\n", apierrors.ReasonForError(err), err)
			continue
		}
		fmt.Printf("ok %s\n", answer)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (p *program) do(ctx context.Context, command string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	switch {
	case command == "create" && len(args) == 2:
		return p.create(ctx, args[0], args[1])
	case command == "update" && len(args) == 2:
		return p.update(ctx, args[0], args[1])
	case command == "stale" && len(args) == 1:
		return p.updateStale(ctx, args[0])
	case command == "patch" && len(args) == 2:
		return p.patch(ctx, args[0], args[1])
	case command == "apply" && len(args) == 3:
		return p.apply(ctx, args[0], args[1], args[2])
	case command == "delete" && len(args) == 1:
		return args[0], p.delete(ctx, args[0])
	case command == "deletecollection" && len(args) == 1:
		return args[0], p.client.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: args[0]})
	case command == "cached":
		return p.cached()
	case command == "listed":
		return p.listed(ctx)
	case command == "counts":
		return fmt.Sprintf("added=%d updated=%d deleted=%d", p.added.Load(), p.updated.Load(), p.deleted.Load()), nil
	case command == "lead" && len(args) == 1:
		return p.lead(args[0])
	case command == "terms":
		return fmt.Sprint(p.terms.Load()), nil
	case command == "resign" && p.endTerm != nil:
		p.endTerm()
		<-p.ended
		return "resigned", nil
	case command == "version":
		version, err := p.client.Discovery().ServerVersion()
		if err != nil {
			return "", err
		}
		return version.Major + "." + version.Minor, nil
	case command == "preferred":
		lists, err := p.client.Discovery().ServerPreferredResources()
		return fmt.Sprint(len(lists)), err
	}
	return "", fmt.Errorf("unknown command %q", command)
}

func (p *program) create(ctx context.Context, name, value string) (string, error) {
	meta := metav1.ObjectMeta{Name: name, Labels: map[string]string{"suite": "client-go"}}
	created, err := p.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"value": value}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	if created.UID == "" || created.CreationTimestamp.IsZero() || len(created.ManagedFields) != 1 {
		return "", fmt.Errorf("incomplete answer: %v", created)
	}
	_, err = p.client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"value": []byte(value)}}, metav1.CreateOptions{})
	return created.ManagedFields[0].Manager, err
}

// update reads, changes and writes until nobody else was faster.
func (p *program) update(ctx context.Context, name, value string) (string, error) {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := p.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Data["value"] = value
		_, err = p.client.CoreV1().ConfigMaps(namespace).Update(ctx, found, metav1.UpdateOptions{})
		return err
	})
	return value, err
}

func (p *program) updateStale(ctx context.Context, name string) (string, error) {
	found, err := p.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	stale := found.DeepCopy()
	found.Data["first"] = found.ResourceVersion
	if _, err := p.client.CoreV1().ConfigMaps(namespace).Update(ctx, found, metav1.UpdateOptions{}); err != nil {
		return "", err
	}
	stale.Data["second"] = "x"
	_, err = p.client.CoreV1().ConfigMaps(namespace).Update(ctx, stale, metav1.UpdateOptions{})
	return "", err
}

func (p *program) patch(ctx context.Context, name, value string) (string, error) {
	maps := p.client.CoreV1().ConfigMaps(namespace)
	if _, err := maps.Patch(ctx, name, types.MergePatchType, []byte(`{"data":{"merge":"`+value+`"}}`), metav1.PatchOptions{}); err != nil {
		return "", err
	}
	if _, err := maps.Patch(ctx, name, types.JSONPatchType, []byte(`[{"op":"add","path":"/data/json","value":"`+value+`"}]`), metav1.PatchOptions{}); err != nil {
		return "", err
	}
	patched, err := maps.Patch(ctx, name, types.StrategicMergePatchType, []byte(`{"data":{"strategic":"`+value+`"}}`), metav1.PatchOptions{})
	if err != nil {
		return "", err
	}
	return strings.Join([]string{patched.Data["merge"], patched.Data["json"], patched.Data["strategic"]}, ","), nil
}

func (p *program) apply(ctx context.Context, name, manager, value string) (string, error) {
	wanted := corev1apply.ConfigMap(name, namespace).WithLabels(map[string]string{"suite": "client-go"}).WithData(map[string]string{"value": value})
	applied, err := p.client.CoreV1().ConfigMaps(namespace).Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: manager})
	if err != nil {
		return "", err
	}
	extracted, err := corev1apply.ExtractConfigMap(applied, manager)
	if err != nil {
		return "", err
	}
	return extracted.Data["value"], nil
}

func (p *program) delete(ctx context.Context, name string) error {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	return errors.Join(
		p.client.CoreV1().ConfigMaps(namespace).Delete(ctx, name, options),
		p.client.CoreV1().Secrets(namespace).Delete(ctx, name, options),
	)
}

// cached is what the informers hold, listed what the server does, page by page; both in one canonical line.
func (p *program) cached() (string, error) {
	maps, err := p.configMaps.ConfigMaps(namespace).List(labels.SelectorFromSet(labels.Set{"suite": "client-go"}))
	if err != nil {
		return "", err
	}
	secrets, err := p.secrets.Secrets(namespace).List(labels.SelectorFromSet(labels.Set{"suite": "client-go"}))
	if err != nil {
		return "", err
	}
	var lines []string
	for _, object := range maps {
		lines = append(lines, line("c", &object.ObjectMeta, object.Data["value"]))
	}
	for _, object := range secrets {
		lines = append(lines, line("s", &object.ObjectMeta, string(object.Data["value"])))
	}
	return joined(lines), nil
}

func (p *program) listed(ctx context.Context) (string, error) {
	var lines []string
	options := metav1.ListOptions{LabelSelector: "suite=client-go", Limit: 3}
	for {
		page, err := p.client.CoreV1().ConfigMaps(namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			lines = append(lines, line("c", &page.Items[i].ObjectMeta, page.Items[i].Data["value"]))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	secrets, err := p.client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "suite=client-go"})
	if err != nil {
		return "", err
	}
	for i := range secrets.Items {
		lines = append(lines, line("s", &secrets.Items[i].ObjectMeta, string(secrets.Items[i].Data["value"])))
	}
	return joined(lines), nil
}

func line(kind string, meta *metav1.ObjectMeta, value string) string {
	return kind + "/" + meta.Name + "@" + meta.ResourceVersion + "=" + value
}

func joined(lines []string) string {
	sort.Strings(lines)
	return strings.Join(lines, " ")
}

// lead takes part in an election until `resign`, and counts the terms.
func (p *program) lead(identity string) (string, error) {
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, "client-go", p.client.CoreV1(), p.client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return "", err
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   6 * time.Second,
		RenewDeadline:   4 * time.Second,
		RetryPeriod:     200 * time.Millisecond,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { p.terms.Add(1) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return "", err
	}
	var ctx context.Context
	ctx, p.endTerm = context.WithCancel(context.Background())
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		elector.Run(ctx)
	}()
	return identity, nil
}
