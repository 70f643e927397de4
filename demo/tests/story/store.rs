//! Where records are kept: behind a Collector, in Elasticsearch or in its file.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use serde_json::json;
use tokio::process::Command;
use weir_demo::process::Process;

use crate::terminal::{curl, repository, until, variable};

const INDEX: &str = "weir-story";

pub(crate) enum Store {
    /// By the Collector's exporter, at this URL.
    Elasticsearch(String),
    /// What the Collector's file exporter writes.
    File(PathBuf),
}

/// A running Collector.
pub(crate) struct Collector {
    process: Process,
    pub(crate) http: u16,
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Store {
    pub(crate) async fn elasticsearch() -> Self {
        let store = Self::Elasticsearch(variable("WEIR_TEST_ELASTICSEARCH"));
        store.make_index().await;
        store
    }

    pub(crate) fn file(folder: &Path) -> Self {
        Self::File(folder.join("logs.jsonl"))
    }

    /// The index as a chart's template makes it: names that clients choose are no fields of
    /// their own (contract §2.4).
    async fn make_index(&self) {
        let Self::Elasticsearch(url) = self else { return };
        let index = format!("{url}/{INDEX}");
        curl(&["-X", "DELETE", &index]).await;
        let headers = json!({ "properties": { "headers": { "type": "flattened" } } });
        let mapping = json!({
            "settings": { "index.mapping.total_fields.limit": 2000 },
            "mappings": { "properties": { "Body": { "properties": {
                "tokenList": { "type": "flattened" },
                "tags": { "type": "flattened" },
                "signature": { "type": "flattened" },
                "http": { "properties": { "req": headers, "res": headers } },
            } } } },
        });
        let made = curl(&["-X", "PUT", &index, "-d", &mapping.to_string()]).await;
        assert_eq!(made["acknowledged"], true, "{made}");
    }

    /// Starts the Collector that fills it.
    pub(crate) async fn collector(&self, logs: &Path) -> Collector {
        let (http, grpc) = (free_port(), free_port());
        let (program, config) = match self {
            Self::Elasticsearch(_) => ("WEIR_TEST_OTELCOL_ELASTICSEARCH", "elasticsearch/"),
            Self::File(_) => ("WEIR_TEST_OTELCOL", ""),
        };
        let mut command = Command::new(variable(program));
        let config = repository().join(format!("e2e/otelcol/{config}config.yaml"));
        command.arg("--config").arg(config);
        command.env("OTLP_HTTP_PORT", http.to_string()).env("OTLP_GRPC_PORT", grpc.to_string());
        match self {
            Self::Elasticsearch(url) => {
                command.env("ELASTICSEARCH_URL", url).env("ELASTICSEARCH_INDEX", INDEX)
            }
            Self::File(path) => command.env("OTLP_OUTPUT", path),
        };
        let process = Process::start("otelcol", command, logs).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
        until("the Collector", async || TcpStream::connect(address).ok()).await;
        Collector { process, http }
    }

    /// Ends the Collector once everything is in the store.
    pub(crate) async fn filled(&self, mut collector: Collector, records: usize) {
        if let Self::Elasticsearch(url) = self {
            let count = format!("{url}/{INDEX}/_count");
            let refresh = format!("{url}/{INDEX}/_refresh");
            until("the records in Elasticsearch", async || {
                curl(&["-X", "POST", &refresh]).await;
                (curl(&[&count]).await["count"].as_u64()? >= records as u64).then_some(())
            })
            .await;
        }
        collector.process.stop().await.unwrap();
    }

    /// How `weir gather` is told of it.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Elasticsearch(url) => vec!["es", "--es-url", url, "--index", INDEX],
            Self::File(path) => vec!["otlp-file", "--in", path.to_str().unwrap()],
        }
    }
}
