//! `weir gather s3`: Amazon S3 and what speaks its protocol.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use serde_json::{Map, Value};

use super::{Bucket, BucketOptions, access::Access, patience, profile};
use crate::gather::window::Moment;

const ADVICE: &str = "see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or --profile, and whether \
                      they may list and read the bucket";

/// Gather from Amazon S3, or from what speaks its protocol.
///
/// Credentials come from the environment (AWS_ACCESS_KEY_ID and so on, a web identity, a
/// container's role) or from a profile.
#[derive(Args, Debug)]
#[command(mut_arg("endpoint_url", |arg| arg.alias("s3-endpoint-url").env("AWS_ENDPOINT_URL")))]
pub(in crate::gather) struct S3Command {
    /// Bucket.
    #[arg(long, value_name = "NAME")]
    bucket: String,
    /// Region; unless told the environment's or the profile's, or us-east-1.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Profile of ~/.aws/credentials and ~/.aws/config.
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE")]
    profile: Option<String>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    options: BucketOptions,
}

impl S3Command {
    pub(in crate::gather) async fn run(
        self,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_http_connector(self.access.transport()?)
            .with_retry(patience())
            .with_skip_signature(self.access.no_sign_request);
        let has = |builder: &AmazonS3Builder, key| builder.get_config_value(&key).is_some();
        if let Some(name) = self.profile.as_deref().or_else(|| {
            let none = !has(&builder, AmazonS3ConfigKey::AccessKeyId);
            none.then_some("default")
        }) {
            builder = with_profile(builder, name, self.profile.is_some())?;
        }
        let given = [
            AmazonS3ConfigKey::AccessKeyId,
            AmazonS3ConfigKey::WebIdentityTokenFile,
            AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
            AmazonS3ConfigKey::ContainerCredentialsFullUri,
        ];
        let given = given.into_iter().any(|key| has(&builder, key));
        let usual = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile";
        self.access.check(given, usual)?;
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(url) = &self.access.endpoint_url {
            builder = builder.with_endpoint(url).with_allow_http(url.starts_with("http://"));
        }
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let mut keys = Map::new();
        keys.insert("bucket".into(), Value::from(self.bucket.as_str()));
        keys.insert("region".into(), region.into());
        let bucket = Bucket {
            store: Arc::new(builder.build().context("set up S3")?),
            name: format!("s3://{}", self.bucket),
            tool: "s3-gather",
            source: "s3",
            keys,
            folders_key: "partitions",
            roots: super::ROOTS,
            start: Moment::Ago(Duration::from_hours(1)),
        };
        self.options.run(bucket, ADVICE, messages).await
    }
}

/// The profile's credentials and region, where the environment has none.
fn with_profile(
    mut builder: AmazonS3Builder,
    name: &str,
    required: bool,
) -> anyhow::Result<AmazonS3Builder> {
    let mut found = false;
    for (variable, file) in
        [("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")]
    {
        let path = env::var_os(variable).map(PathBuf::from);
        let home = || Some(Path::new(&env::var_os("HOME")?).join(".aws").join(file));
        let Some(text) = path.or_else(home).and_then(|path| fs::read_to_string(path).ok()) else {
            continue;
        };
        let Some(profile) = profile::find(&text, name) else { continue };
        found = true;
        for (key, config) in [
            ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
            ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
            ("aws_session_token", AmazonS3ConfigKey::Token),
            ("region", AmazonS3ConfigKey::Region),
        ] {
            // A profile that was asked for wins over the environment's keys, not over its region.
            let asked = required && !matches!(config, AmazonS3ConfigKey::Region);
            if let Some(value) = profile.get(key)
                && (asked || builder.get_config_value(&config).is_none())
            {
                builder = builder.with_config(config, value);
            }
        }
    }
    if required && !found {
        bail!("--profile: there is no profile {name} in ~/.aws/credentials or ~/.aws/config");
    }
    Ok(builder)
}
