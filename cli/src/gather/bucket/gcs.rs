//! `weir gather gcs`: Google Cloud Storage.

use std::{env, io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use serde_json::{Map, Value};

use super::{Bucket, BucketOptions, access::Access, patience};
use crate::gather::window::Moment;

const ADVICE: &str = "see GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default \
                      login`, and whether the account may list and read the bucket";

/// Gather from Google Cloud Storage.
///
/// Credentials come from GOOGLE_APPLICATION_CREDENTIALS or from
/// `gcloud auth application-default login`.
#[derive(Args, Debug)]
pub(in crate::gather) struct GcsCommand {
    /// Bucket.
    #[arg(long, value_name = "NAME")]
    bucket: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    options: BucketOptions,
}

impl GcsCommand {
    pub(in crate::gather) async fn run(
        self,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let mut builder = GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&self.bucket)
            .with_http_connector(self.access.transport()?)
            .with_retry(patience())
            .with_skip_signature(self.access.no_sign_request);
        let given = [
            GoogleConfigKey::ServiceAccount,
            GoogleConfigKey::ServiceAccountKey,
            GoogleConfigKey::ApplicationCredentials,
        ];
        let given = given.into_iter().any(|key| builder.get_config_value(&key).is_some());
        let login = env::var_os("HOME").map(PathBuf::from).is_some_and(|home| {
            home.join(".config/gcloud/application_default_credentials.json").exists()
        });
        self.access.check(given || login, "GOOGLE_APPLICATION_CREDENTIALS")?;
        if let Some(url) = &self.access.endpoint_url {
            builder = builder.with_base_url(url.trim_end_matches('/'));
        }
        let mut keys = Map::new();
        keys.insert("gcsBucket".into(), Value::from(self.bucket.as_str()));
        let bucket = Bucket {
            store: Arc::new(builder.build().context("set up Google Cloud Storage")?),
            name: format!("gs://{}", self.bucket),
            tool: "gcs-gather",
            source: "gcs",
            keys,
            folders_key: "gcsPartitions",
            roots: super::ROOTS,
            start: Moment::DEFAULT_START,
        };
        self.options.run(bucket, ADVICE, messages).await
    }
}
