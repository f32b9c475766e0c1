"""What is mended of upstreams' files in what we build, each for the reason that its decision gives.

A patch stays until a version can be had that needs it no more. Nothing here runs.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Patch:
    """What is mended of a file of upstream's in what we build, until a version can be had that needs it no more.

    Attributes:
        module: Module path, at the version that the set's go.mod names.
        path: Path inside the module.
        sha256: Of the file as upstream has it (hex): a new version is looked at anew.
        changes: What is wrong, there exactly once, and what stands there instead.
        adr: Number of the decision that says why.
    """

    module: str
    path: str
    sha256: str
    changes: tuple[tuple[str, str], ...]
    adr: int


#: Where the operator decides about a file that Postgres asks of the archive, and what it decides besides (ADR 120 and
#: 121): no log while the primary changes, nor for who follows in the minute after, until the history of the new one is
#: known; no history that Postgres has; and for who is chosen none before it is told to promote.
_ASKS_THE_ARCHIVE: Final = """	if err := validateTimelineHistoryFile(ctx, walName, cluster, podName); err != nil {
		return err
	}
"""
_ASKS_FOR_NO_MORE: Final = f"""{_ASKS_THE_ARCHIVE}
	history, status := strings.HasSuffix(walName, ".history"), cluster.Status
	promoted, err := time.Parse(time.RFC3339, status.CurrentPrimaryTimestamp)
	changes := status.CurrentPrimary != status.TargetPrimary || err == nil && time.Since(promoted) < time.Minute
	replica := status.CurrentPrimary != "" && status.CurrentPrimary != podName
	synchronous := cluster.Spec.PostgresConfiguration.Synchronous
	complete := synchronous != nil && synchronous.DataDurability == apiv1.DataDurabilityLevelRequired
	if !history && replica && changes && (status.TargetPrimary != podName || complete) {{
		contextLog.Info("Refusing to restore a log while the primary changes", "walName", walName)
		return errNotAsked
	}}
	_, err = os.Stat(postgres.BuildWALPath(pgData, "pg_wal/"+walName))
	if history && (err == nil || walName == "00000001.history") {{
		return errNotAsked
	}}
	if history && replica && status.TargetPrimary == podName && !isPromoting() {{
		return errNotAsked
	}}
"""
#: Whether this instance is being told to promote: the keeper runs this program from then until it has.
_RUN: Final = "func run(ctx context.Context, pgData string, podName string, args []string) error {"
_IS_PROMOTED: Final = f"""func isPromoting() bool {{
	programs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, program := range programs {{
		words, _ := os.ReadFile(program)
		if strings.HasPrefix(string(words), "pg_ctl\\x00") && strings.Contains(string(words), "\\x00promote\\x00") {{
			return true
		}}
	}}
	return err != nil || len(programs) == 0
}}

{_RUN}"""

#: The end of what the operator does to rewind a member, and what it does besides (ADR 122).
_HAS_REWOUND: Final = """	err = instance.removePgControlFileBackup()
	if err != nil {
		return err
	}

	return nil
}
"""
_LEAVES_TO_THE_SOURCE: Final = f"""{_HAS_REWOUND.replace("return nil", "return instance.noteCopiedLogs()")}
// noteCopiedLogs notes that the source archives what pg_rewind has copied, as Postgres does of what it streams.
func (instance *Instance) noteCopiedLogs() error {{
	logs, err := os.ReadDir(filepath.Join(instance.PgData, "pg_wal"))
	for _, entry := range logs {{
		status := filepath.Join(instance.PgData, "pg_wal", "archive_status", entry.Name())
		if entry.IsDir() {{
			continue
		}}
		if err := os.WriteFile(status+".done", nil, 0o600); err != nil {{
			return err
		}}
		if err := os.Remove(status + ".ready"); err != nil && !os.IsNotExist(err) {{
			return err
		}}
	}}
	return err
}}
"""

#: What it does of a file that was not restored: it waits, so that Postgres, which waits by itself, asks less often.
_NOT_RESTORED: Final = """			switch {
			case errors.Is(err, barmanRestorer.ErrWALNotFound):
"""
_NOT_ASKED: Final = """			switch {
			case errors.Is(err, errNotAsked):
				return err
			case errors.Is(err, barmanRestorer.ErrWALNotFound):
"""
_NEW_COMMAND: Final = "// NewCmd creates a new cobra command\n"
_REFUSAL: Final = f"""// errNotAsked is of a file that the archive is not asked for.
var errNotAsked = fmt.Errorf("not asked for: %w", barmanRestorer.ErrWALNotFound)

{_NEW_COMMAND}"""

#: Before what the operator asks of all instances, and sets the Service's label after (ADR 128).
_ASKS_INSTANCES: Final = "	// Store in the context the TLS configuration required communicating with the Pods.\n"
_LABELS_FIRST: Final = f"""	// The Service follows a label, and nobody who writes waits for what is asked below.
	if err := instanceReconciler.ReconcileMetadata(ctx, r.Client, cluster, resources.instances.Items); err != nil {{
		return ctrl.Result{{}}, err
	}}

{_ASKS_INSTANCES}"""

#: Where Postgres is told by what it takes logs from the archive; without an archive it starts no program (ADR 128).
_FOLLOWS: Final = """		"primary_conninfo":         primaryConnInfo,
	}
"""
_FOLLOWS_WITHOUT_ARCHIVE: Final = f"""{_FOLLOWS}	if withoutArchive.Load() {{
		options["restore_command"] = "false"
	}}
"""
_UPDATES: Final = "// UpdateReplicaConfiguration updates the override.conf"
_KNOWS_OF_NO_ARCHIVE: Final = f"""// withoutArchive is set where there is nowhere to take a log from.
var withoutArchive atomic.Bool

{_UPDATES}"""
_REFRESHES: Final = "	// Ensure postgresql.conf includes custom.conf and override.conf, which\n"
_LOOKS_FOR_ARCHIVE: Final = f"""	spec := cluster.Spec
	withoutArchive.Store(spec.Backup == nil && len(spec.Plugins) == 0 && len(spec.ExternalClusters) == 0)

{_REFRESHES}"""

#: Where a member waits until it is chosen; it looks who renews the lease from its start instead (ADR 130).
_WAITS_TO_BE_CHOSEN: Final = """	select {
	case <-r.activateCh:
		// proceed to active mode
	case <-ctx.Done():
		return nil
	}
	return r.runLeaderElection(ctx)
"""
_LOOKS_WHO_RENEWS: Final = """	looks := time.NewTicker(time.Second)
	defer looks.Stop()
	for {
		select {
		case <-r.activateCh:
			return r.runLeaderElection(ctx)
		case <-looks.C:
			r.observe(ctx)
		case <-ctx.Done():
			return nil
		}
	}
"""
_SAME_HOLDER: Final = "// sameHolder reports whether two reads describe the same un-renewed lease\n"
_OBSERVES: Final = f"""// observe looks at the lease before it is wanted: take-over counts from the last renewal seen.
func (r *Runnable) observe(ctx context.Context) {{
	looking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	record, _, err := r.lock.Get(looking)
	if err != nil {{
		r.observedRecord = nil
	}} else if r.observedRecord == nil || !sameHolder(r.observedRecord, record) {{
		r.observedRecord, r.observedTime = record, time.Now()
	}}
}}

{_SAME_HOLDER}"""

_OPERATOR: Final = "github.com/cloudnative-pg/cloudnative-pg"

CLOUDNATIVE_PG: Final = (
    Patch(
        _OPERATOR,
        "pkg/management/postgres/webserver/client/remote/instance.go",
        "cd988bbafdeee319c8de55202567481200ff44834562756b1e5b73fdc9bfcee7",
        changes=(
            # Errors of that type are pointers: as a value none is found, and each is taken for another kind.
            ("var statuserror StatusError", "var statuserror *StatusError"),
            # Tries of an instance that is away: 0.3 s in all instead of 1.6.
            ("Steps:    5", "Steps:    4"),
        ),
        adr=116,
    ),
    Patch(
        _OPERATOR,
        "internal/cmd/manager/walrestore/cmd.go",
        "9bd2c304b16a5777591e60ac2883c6ac4e56e062d860eb6b7ee969c1fbea65e4",
        changes=(
            (_ASKS_THE_ARCHIVE, _ASKS_FOR_NO_MORE),
            (_RUN, _IS_PROMOTED),
            (_NOT_RESTORED, _NOT_ASKED),
            (_NEW_COMMAND, _REFUSAL),
            ('\t"os"\n', '\t"os"\n\t"path/filepath"\n'),
        ),
        adr=120,
    ),
    Patch(
        _OPERATOR,
        "pkg/management/postgres/instance.go",
        "8fe8e3069e3dd49ddce47bbb741ca06c7d6fe3757e9dd16ecff1745b975f102b",
        changes=((_HAS_REWOUND, _LEAVES_TO_THE_SOURCE),),
        adr=122,
    ),
    Patch(
        _OPERATOR,
        "internal/controller/cluster_controller.go",
        "5fa499247d8c1ddbcc7137551e99a4c7e2332145ef746fff417a7e6f02b2d07c",
        changes=((_ASKS_INSTANCES, _LABELS_FIRST),),
        adr=128,
    ),
    Patch(
        _OPERATOR,
        "pkg/management/postgres/configuration.go",
        "896b93032f865484b60aae6b96c608717a8e23a95c29c7a1db814686767a7ea1",
        changes=(
            (_FOLLOWS, _FOLLOWS_WITHOUT_ARCHIVE),
            (_UPDATES, _KNOWS_OF_NO_ARCHIVE),
            ('\t"strings"\n', '\t"strings"\n\t"sync/atomic"\n'),
        ),
        adr=128,
    ),
    Patch(
        _OPERATOR,
        "pkg/management/postgres/instance_replica.go",
        "020b1e4d182c34cf36d148bb2f6ab730e2cd93e96634917cf2e49594926f9f56",
        changes=((_REFRESHES, _LOOKS_FOR_ARCHIVE),),
        adr=128,
    ),
    Patch(
        _OPERATOR,
        "internal/cmd/manager/instance/run/lease/runnable.go",
        "fd674839a1051b8d2dad1de18f10391d6bd2b2e256bb7ba5b681b7a5274a3dba",
        changes=((_WAITS_TO_BE_CHOSEN, _LOOKS_WHO_RENEWS), (_SAME_HOLDER, _OBSERVES)),
        adr=130,
    ),
)
