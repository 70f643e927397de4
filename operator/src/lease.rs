//! One operator at a time: a Lease that its holder renews. A clock of another machine is never
//! compared with ours: a lease is free when we saw no renewal of it for its whole duration.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep};

use crate::{health::Health, run::Options};

const NAME: &str = "weir-operator";
/// Tries to get the lease.
const TRY: Duration = Duration::from_secs(2);

/// The lease, and who wants it.
pub(crate) struct Leadership {
    leases: Api<Lease>,
    identity: String,
    /// Without a renewal for so long, another may take the lease.
    duration: Duration,
    /// The lease goes when this goes.
    owner: Option<OwnerReference>,
}

impl Leadership {
    pub(crate) fn new(client: Client, options: &Options, owner: Option<OwnerReference>) -> Self {
        Self {
            leases: Api::namespaced(client, &options.namespace),
            identity: options.identity.clone(),
            duration: options.lease_duration,
            owner,
        }
    }

    /// Waits until the lease is ours.
    pub(crate) async fn acquire(&self, health: &Health) {
        let mut seen: (Option<String>, Instant) = (None, Instant::now());
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(true) => return,
                Ok(false) => health.stand_by(),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "could not get the lease");
                }
            }
            sleep(TRY).await;
        }
    }

    /// Renews the lease until that fails for too long or another has it.
    pub(crate) async fn keep(&self) -> anyhow::Error {
        // Without a renewal the holder gives up well before another may start.
        let give_up = self.duration * 2 / 3;
        let mut renewed = Instant::now();
        loop {
            sleep(self.duration / 4).await;
            let left = give_up.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(())) => renewed = Instant::now(),
                Ok(Err(error)) if error.is::<Lost>() => return error,
                Ok(Err(error)) if renewed.elapsed() < give_up => {
                    tracing::warn!(error = format!("{error:#}"), "could not renew the lease");
                }
                Ok(Err(error)) => return error.context("the lease was not renewed in time"),
                Err(_) => return anyhow::anyhow!("the lease was not renewed in time"),
            }
        }
    }

    /// Lets the next operator start at once.
    pub(crate) async fn release(&self) -> anyhow::Result<()> {
        let Some(mut lease) = self.leases.get_opt(NAME).await.context("read the lease")? else {
            return Ok(());
        };
        if self.holds(&lease) {
            lease.spec.get_or_insert_default().holder_identity = None;
            self.leases.replace(NAME, &PostParams::default(), &lease).await.context("release")?;
        }
        Ok(())
    }

    fn holds(&self, lease: &Lease) -> bool {
        holder(lease) == Some(self.identity.as_str())
    }

    async fn try_acquire(&self, seen: &mut (Option<String>, Instant)) -> anyhow::Result<bool> {
        let Some(lease) = self.leases.get_opt(NAME).await.context("read the lease")? else {
            let metadata = ObjectMeta {
                name: Some(NAME.to_owned()),
                owner_references: self.owners(),
                ..ObjectMeta::default()
            };
            let lease = Lease { metadata, spec: Some(self.spec(0)) };
            let created = self.leases.create(&PostParams::default(), &lease).await;
            return won(created);
        };
        if seen.0 != lease.metadata.resource_version {
            *seen = (lease.metadata.resource_version.clone(), Instant::now());
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.duration, Duration::from_secs);
        let free = holder(&lease).is_none_or(|holder| holder == self.identity);
        if !free && seen.1.elapsed() < duration {
            return Ok(false);
        }
        let mut ours = lease;
        ours.metadata.owner_references = self.owners();
        ours.spec = Some(self.spec(spec.lease_transitions.unwrap_or(0).saturating_add(1)));
        // With the version that was read: of two that try, one gets a conflict.
        won(self.leases.replace(NAME, &PostParams::default(), &ours).await)
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let mut lease = self.leases.get(NAME).await.context("read the lease")?;
        if !self.holds(&lease) {
            bail!(Lost);
        }
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        self.leases
            .replace(NAME, &PostParams::default(), &lease)
            .await
            .context("renew the lease")?;
        Ok(())
    }

    fn owners(&self) -> Option<Vec<OwnerReference>> {
        self.owner.clone().map(|owner| vec![owner])
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Another operator has the lease.
#[derive(Debug, thiserror::Error)]
#[error("another operator has taken the lease")]
struct Lost;

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    holder.filter(|holder| !holder.is_empty())
}

/// A conflict is another's success.
fn won(result: kube::Result<Lease>) -> anyhow::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error).context("take the lease"),
    }
}
