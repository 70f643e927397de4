//! Buckets: `weir gather s3`, `gcs` and `azure`.
//!
//! Collectors store by the time of writing, in folders of years to minutes (contract §2.3). What
//! can hold a record of the window is listed, all of it; then objects are read in the order of
//! their names, several on their way at once.

mod access;
mod azure;
mod gcs;
mod listing;
mod place;
mod profile;
mod s3;
mod transport;

use std::{
    collections::VecDeque,
    io::{Cursor, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use object_store::{BackoffConfig, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use weir_rrpair::Timestamp;

use self::listing::{Listing, Wanted};
pub(super) use self::{azure::AzureCommand, gcs::GcsCommand, s3::S3Command};
use super::{
    CommonOptions,
    filter::FilterOptions,
    object,
    run::{About, Failed, Given, Plan},
    window::{Moment, Span, Window},
    writer::{Enough, Feed, Page},
};
use crate::visible::shortened;

/// The collector's prefix, and the older shippers' folders (contract §2.3).
const ROOTS: &[&str] = &["byoc", ""];
/// Objects on their way at once.
const WORKERS: usize = 16;
/// MiB of objects in memory at once; a larger one comes alone.
const MEMORY_MIB: u32 = 256;

/// What every bucket is asked.
#[derive(Args, Debug)]
struct BucketOptions {
    /// Folder of the objects; '' is the whole bucket.
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Read objects that were stored up to this long after the end of the window, since a record
    /// is stored some time after its request.
    #[arg(long, value_name = "TIME", default_value = "15m")]
    late: Span,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    filters: FilterOptions,
}

/// One bucket.
struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// What it is called, for people and to resume.
    name: String,
    tool: &'static str,
    source: &'static str,
    /// Names of the keys in `snapshot.json` for what is gathered, and for the folders.
    keys: Map<String, Value>,
    folders_key: &'static str,
    /// Where objects are unless told.
    roots: &'static [&'static str],
    start: Moment,
}

/// Not for ever: a wrong address is to be told.
fn patience() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(300),
            max_backoff: Duration::from_secs(5),
            base: 2.,
        },
        max_retries: 6,
        retry_timeout: Duration::from_mins(1),
    }
}

/// What a store says when it fails, on one line and with what may help.
fn explained(error: object_store::Error, advice: &str) -> anyhow::Error {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    let is_refused = matches!(error, PermissionDenied { .. } | Unauthenticated { .. });
    let is_missing = matches!(error, NotFound { .. });
    let text = anyhow::Error::new(error);
    let text = format!("{text:#}");
    // Listing tells its failures by text alone.
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let refused = ["code: 401", "code: 403", "SignatureDoesNotMatch", "InvalidAccessKeyId"];
    let hint = if is_refused || has(&refused) {
        format!(" (hint: {advice})")
    } else if is_missing || has(&["code: 404", "NoSuchBucket", "ContainerNotFound"]) {
        " (hint: is there a bucket of this name?)".to_owned()
    } else {
        String::new()
    };
    anyhow::anyhow!("{}{hint}", shortened(&text, 400))
}

impl BucketOptions {
    async fn run(
        &self,
        bucket: Bucket,
        advice: &'static str,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let question = json!({
            "source": bucket.source, "bucket": bucket.name, "prefix": self.prefix,
            "filters": self.filters.question(),
        });
        let plan = self.common.plan(question, bucket.start)?;
        let wanted = Wanted { window: plan.window, late: self.late.0 };
        let listing = match &self.prefix {
            Some(prefix) => listing::list(bucket.store.as_ref(), &[prefix.as_str()], &wanted).await,
            None => listing::list(bucket.store.as_ref(), bucket.roots, &wanted).await,
        };
        let listing = listing.map_err(|error| explained(error, advice));
        let listing = listing.with_context(|| format!("list {}", bucket.name)).map_err(Failed)?;
        if self.common.dry_run {
            let window = plan.window;
            writeln!(messages, "window: {} to {}", window.start, window.end)?;
            for object in &listing.objects {
                writeln!(messages, "would read {} ({} bytes)", object.location, object.size)?;
            }
            let count = listing.objects.len();
            writeln!(messages, "{count} objects of {}; nothing written (--dry-run)", bucket.name)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.gather(bucket, listing, plan, advice, messages).await
    }

    async fn gather(
        &self,
        bucket: Bucket,
        listing: Listing,
        plan: Plan,
        advice: &'static str,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let Bucket { store, name, tool, source, mut keys, folders_key, .. } = bucket;
        keys.insert(folders_key.into(), listing.folders.into());
        keys.insert("objectCount".into(), listing.objects.len().into());
        let about = About { tool, source, keys, given: Given::Listed };
        let done = plan.cursor.as_ref().and_then(Value::as_str).map(str::to_owned);
        let objects: Vec<ObjectMeta> = listing
            .objects
            .into_iter()
            .filter(|object| done.as_deref().is_none_or(|done| object.location.as_ref() > done))
            .collect();
        let reader = Reader { window: plan.window, filters: self.filters.clone() };
        let fetch = |feed: Feed| async move {
            let count = objects.len();
            let progress = feed.progress.clone();
            reader.run(store, objects, feed, advice).await?;
            if progress.written() == 0 {
                progress.set_hint(match (count, progress.received()) {
                    (0, _) => format!("no object of the window in {name}; see --prefix, --start"),
                    (_, 0) => "the objects hold no RRPairs".to_owned(),
                    _ => "the objects hold records, but none that the window and the filters \
                          take; patterns must match the whole value"
                        .to_owned(),
                });
            }
            Ok(())
        };
        Box::pin(self.common.gather(plan, about, messages, fetch)).await
    }
}

/// What is taken out of objects.
#[derive(Clone)]
struct Reader {
    window: Window,
    filters: FilterOptions,
}

/// An object on its way, and its share of the memory.
struct Coming {
    name: String,
    bytes: JoinHandle<object_store::Result<Bytes>>,
    _share: OwnedSemaphorePermit,
}

impl Reader {
    async fn run(
        &self,
        store: Arc<dyn ObjectStore>,
        objects: Vec<ObjectMeta>,
        feed: Feed,
        advice: &str,
    ) -> anyhow::Result<()> {
        let memory = Arc::new(Semaphore::new(MEMORY_MIB as usize));
        let mut coming: VecDeque<Coming> = VecDeque::new();
        let mut objects = objects.into_iter().peekable();
        loop {
            // In order, so that the first one always has its share.
            while coming.len() < WORKERS
                && let Some(object) = objects.peek()
            {
                let mib = u32::try_from(object.size >> 20).unwrap_or(MEMORY_MIB).saturating_add(1);
                let share = Arc::clone(&memory).try_acquire_many_owned(mib.min(MEMORY_MIB));
                let (Ok(share), Some(object)) = (share, objects.next_if(|_| true)) else { break };
                let (store, name) = (Arc::clone(&store), object.location.to_string());
                let get = async move { store.get(&object.location).await?.bytes().await };
                coming.push_back(Coming { name, bytes: tokio::spawn(get), _share: share });
            }
            let Some(Coming { name, bytes, _share }) = coming.pop_front() else { return Ok(()) };
            let read = || format!("read {name}");
            let bytes = bytes.await.with_context(read)?;
            let bytes = bytes.map_err(|error| explained(error, advice)).with_context(read)?;
            let (reader, feed) = (self.clone(), feed.clone());
            let reading = tokio::task::spawn_blocking(move || reader.read(&name, bytes, &feed));
            if reading.await.context("read an object")?? == Err(Enough) {
                for other in &coming {
                    other.bytes.abort();
                }
                return Ok(());
            }
        }
    }

    fn read(&self, name: &str, bytes: Bytes, feed: &Feed) -> anyhow::Result<Result<(), Enough>> {
        let mut given = Ok(());
        let leftover = object::read(Cursor::new(bytes), |mut pairs| {
            feed.progress.add_received(pairs.len() as u64);
            pairs.retain(|pair| {
                self.window.contains(Timestamp(pair.time_ns)) && self.filters.keeps(&pair.body)
            });
            given = feed.blocking_send(Page { pairs, cursor: None });
            given.is_ok()
        });
        let leftover = leftover.with_context(|| name.to_owned())?;
        feed.progress.add_foreign(leftover.foreign);
        if leftover.cut {
            tracing::warn!("{name}: the last line is cut off; it is left out");
        }
        let ended = Page { pairs: Vec::new(), cursor: Some(name.into()) };
        Ok(given.and_then(|()| feed.blocking_send(ended)))
    }
}
