//! `weir gather azure`: Azure Blob Storage.

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use clap::Args;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use serde_json::{Map, Value};

use super::{Bucket, BucketOptions, patience, transport::Transport};
use crate::gather::window::Moment;

const ADVICE: &str = "see the connection string, and whether it may list and read the container";

/// Gather from Azure Blob Storage.
#[derive(Args, Debug)]
pub(in crate::gather) struct AzureCommand {
    /// Container.
    #[arg(long, value_name = "NAME", env = "AZURE_CONTAINER", default_value = "byoc")]
    container: String,
    /// Connection string, with an account key or a shared access signature; better set in the
    /// environment.
    #[arg(long, value_name = "TEXT", env = "AZURE_CONNECTION_STRING", hide_env_values = true)]
    connection_string: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    options: BucketOptions,
}

impl AzureCommand {
    pub(in crate::gather) async fn run(
        self,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let Some(text) = &self.connection_string else {
            bail!("no credentials: set AZURE_CONNECTION_STRING");
        };
        let account = Account::parse(text).context("--connection-string")?;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&account.name)
            .with_container_name(&self.container)
            .with_allow_http(account.endpoint.starts_with("http://"))
            .with_endpoint(account.endpoint)
            .with_http_connector(Transport::new(self.ca_file.as_deref())?)
            .with_retry(patience());
        builder = match account.secret {
            Secret::Key(key) => builder.with_access_key(key),
            Secret::Signature(text) => builder.with_config(AzureConfigKey::SasKey, text),
        };
        let mut keys = Map::new();
        keys.insert("azureContainer".into(), Value::from(self.container.as_str()));
        let bucket = Bucket {
            store: Arc::new(builder.build().context("set up Azure Blob Storage")?),
            name: format!("container {} of {}", self.container, account.name),
            tool: "azure-gather",
            source: "azure",
            keys,
            folders_key: "azurePrefixes",
            roots: &[""],
            start: Moment::DEFAULT_START,
        };
        self.options.run(bucket, ADVICE, messages).await
    }
}

/// What a connection string says. Its values are secrets: none is in an error.
struct Account {
    name: String,
    endpoint: String,
    secret: Secret,
}

enum Secret {
    Key(String),
    Signature(String),
}

impl Account {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let value = |name: &str| {
            text.split(';').find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let name = match (value("AccountName"), value("BlobEndpoint")) {
            (Some(name), _) => name,
            // With a shared access signature the name stands in the address alone.
            (None, Some(endpoint)) => {
                let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
                host.split(['.', '/', ':']).next().unwrap_or_default().to_owned()
            }
            (None, None) => bail!("it has neither AccountName nor BlobEndpoint"),
        };
        let secret = match (value("AccountKey"), value("SharedAccessSignature")) {
            (Some(key), _) => Secret::Key(key),
            (None, Some(signature)) => Secret::Signature(signature),
            (None, None) => bail!("it has neither AccountKey nor SharedAccessSignature"),
        };
        let endpoint = value("BlobEndpoint").unwrap_or_else(|| {
            let scheme = value("DefaultEndpointsProtocol").unwrap_or_else(|| "https".into());
            let suffix = value("EndpointSuffix").unwrap_or_else(|| "core.windows.net".into());
            format!("{scheme}://{name}.blob.{suffix}")
        });
        Ok(Self { name, endpoint: endpoint.trim_end_matches('/').to_owned(), secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_read() {
        let account = Account::parse(
            "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.windows.net",
        )
        .unwrap();
        assert_eq!(
            (account.name.as_str(), account.endpoint.as_str()),
            ("acc", "https://acc.blob.core.windows.net")
        );
        assert!(matches!(account.secret, Secret::Key(key) if key == "a2V5=="));
        let account = Account::parse(
            "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1/;SharedAccessSignature=sv=1&sig=x;AccountName=devstoreaccount1",
        )
        .unwrap();
        assert_eq!(account.endpoint, "http://127.0.0.1:10000/devstoreaccount1");
        assert!(matches!(account.secret, Secret::Signature(text) if text == "sv=1&sig=x"));
        for odd in ["", "AccountName=a", "canary", "AccountKey=canary"] {
            let error = Account::parse(odd).err().unwrap().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
