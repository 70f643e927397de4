//! One pass over everything: read → compile → fit → write the plan → write the statuses that
//! changed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use tokio::sync::{Notify, watch};
use tracing::{Span, info_span};
use weir_api::v1alpha1::{DlpPolicy, Exporter};
use weir_plan::{MAX_DOCUMENT_BYTES, ObjectKey, ObjectKind, Objects, PLAN_KEY, compile_after};

use crate::{
    deploy::{Nodes, PlanSecret},
    fit::fit,
    health::Counts,
    memory::{Memory, Statuses},
    secrets::{Secrets, referred, referred_by_policy},
    snapshot::{Snapshot, key, unreadable_policy},
    status::Round,
    watch::Stores,
    write::Writer,
};

pub(crate) struct Reconciler {
    pub(crate) namespace: String,
    pub(crate) stores: Stores,
    pub(crate) secrets: Secrets,
    pub(crate) plan: PlanSecret,
    pub(crate) nodes: Option<Nodes>,
    pub(crate) writer: Writer,
    pub(crate) counts: Counts,
    pub(crate) rounds: watch::Receiver<Arc<Round>>,
    /// Told of each new plan.
    pub(crate) hurry: Arc<Notify>,
    pub(crate) memory: Memory,
}

impl Reconciler {
    /// One pass. `now` is in whole seconds, as the API keeps times. Returns when the next is due
    /// although nothing changes.
    ///
    /// # Errors
    ///
    /// The first failure; what does not depend on it was done.
    pub(crate) async fn pass(&mut self, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        let deployed = match &mut self.nodes {
            Some(nodes) => nodes.keep(&self.stores.daemon_sets).await,
            None => Ok(()),
        };
        let snapshot = Snapshot::of(&self.stores);
        let objects = self.objects(&snapshot).await?;
        let span = Span::current();
        span.record("captures", objects.captures.len());
        span.record("exporters", objects.exporters.len());
        span.record("policies", objects.policies.len());
        let compiled =
            info_span!("compile").in_scope(|| compile_after(&objects, &self.memory.before));
        self.memory.take_note(&snapshot, &self.rounds.borrow_and_update().clone());
        let (plan, due) = self.memory.in_force(&compiled, &snapshot, now);
        let created = snapshot.captures.iter().filter_map(|capture| {
            Some((key(capture), capture.metadata.creation_timestamp.as_ref()?.0))
        });
        let fitted = fit(plan, &created.collect(), MAX_DOCUMENT_BYTES - PLAN_KEY.len())?;
        if self.plan.write(&fitted.bytes).await? {
            span.record("plan.revision", fitted.document.revision());
            self.counts.plan_writes.inc();
            self.hurry.notify_one();
        }
        self.memory.before = compiled.plan.clone();
        let statuses = self.memory.statuses(&snapshot, &compiled, &fitted, now);
        let again = [statuses.again, due].into_iter().flatten().min();
        self.write(statuses, &snapshot, now).await?;
        deployed?;
        Ok(again)
    }

    async fn objects(&mut self, snapshot: &Snapshot) -> anyhow::Result<Objects> {
        let exporters: Vec<Exporter> = copies(&snapshot.exporters);
        let mut policies: Vec<DlpPolicy> = copies(&snapshot.policies);
        let mut names: BTreeSet<ObjectKey> = exporters.iter().flat_map(referred).collect();
        names.extend(policies.iter().filter_map(referred_by_policy));
        let secrets = self.secrets.read(&names).await?;
        let unreadable = snapshot.unreadable.iter();
        policies.extend(
            unreadable
                .filter(|(kind, _)| *kind == ObjectKind::DlpPolicy)
                .map(|(_, object)| unreadable_policy(object, &self.namespace)),
        );
        Ok(Objects {
            captures: copies(&snapshot.captures),
            exporters,
            policies,
            namespaces: snapshot.namespaces.clone(),
            secrets,
            operator_namespace: Some(self.namespace.clone()),
        })
    }

    async fn write(
        &mut self,
        statuses: Statuses,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let (memory, writer) = (&mut self.memory, &mut self.writer);
        let results = [
            writer.unreadable(&snapshot.unreadable, now).await,
            writer.statuses(&mut memory.policies, statuses.policies, now).await,
            writer.statuses(&mut memory.exporters, statuses.exporters, now).await,
            writer.statuses(&mut memory.captures, statuses.captures, now).await,
        ];
        results.into_iter().collect()
    }
}

fn copies<K: Clone>(objects: &[Arc<K>]) -> Vec<K> {
    objects.iter().map(|object| K::clone(object)).collect()
}

/// For an object that could not be read, all that is known of it.
pub(crate) type Unreadable = (ObjectKind, InvalidObject);

/// The next pass is due at `again`; this long from now at most.
pub(crate) fn wait(again: Option<Timestamp>, now: Timestamp, most: Duration) -> Duration {
    let until = again.map(|again| again.duration_since(now));
    until
        .map_or(
            most,
            |until| if until.is_negative() { Duration::ZERO } else { until.unsigned_abs() },
        )
        .min(most)
}
