//! `weir gather datadog`: from Datadog's log search.
//!
//! Pages follow each other by the cursor that each gives for the next. Datadog tells no count to
//! hold the result against.

mod event;

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    CommonOptions,
    client::{Base, Client, Credentials, RequestError},
    filter::FilterOptions,
    run::{About, Given, Plan},
    window::Moment,
    writer::{Feed, Page},
};

/// Events in a page; Datadog's limit is 1000.
const PAGE: u64 = 1000;
const SEARCH: &str = "/api/v2/logs/events/search";

/// Gather from Datadog's logs.
#[derive(Args, Debug)]
pub(crate) struct DatadogCommand {
    /// Site of the account.
    #[arg(long, value_name = "NAME", env = "DATADOG_SITE", default_value = "datadoghq.com")]
    site: String,
    /// Address of the API, where it is not that of the site.
    #[arg(long, value_name = "URL", hide = true)]
    api_url: Option<String>,
    /// API key; better set in the environment.
    #[arg(long, value_name = "KEY", env = "DATADOG_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Application key; better set in the environment.
    #[arg(long, value_name = "KEY", env = "DATADOG_APP_KEY", hide_env_values = true)]
    app_key: Option<String>,
    /// Protocol such as http.
    #[arg(long, value_name = "NAME")]
    l7protocol: Option<String>,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    filters: FilterOptions,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Value>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    page: Next,
    /// `done`, or `timeout` with a part of the answer.
    status: Option<String>,
}

#[derive(Default, Deserialize)]
struct Next {
    after: Option<String>,
}

impl DatadogCommand {
    pub(super) async fn run(self, messages: &mut impl Write) -> anyhow::Result<ExitCode> {
        let client = Arc::new(self.client()?);
        let query = self.query();
        let host = client.base().to_string();
        let question = json!({
            "source": "datadog", "url": host, "query": query, "filters": self.filters.question(),
        });
        let plan = self.common.plan(question, Moment::DEFAULT_START)?;
        if self.common.dry_run {
            writeln!(messages, "window: {} to {}", plan.window.start, plan.window.end)?;
            writeln!(messages, "query at {host}: {query}; nothing written (--dry-run)")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut keys = Map::new();
        keys.insert("datadogHost".into(), host.into());
        keys.insert("datadogQuery".into(), query.as_str().into());
        let about =
            About { tool: "datadog-gather", source: "datadog", keys, given: Given::NewestFirst };
        let asked = self.asked(&plan, &query);
        let gathering =
            self.common.gather(plan, about, messages, |feed| self.fetch(client, asked, feed));
        Box::pin(gathering).await
    }

    fn client(&self) -> anyhow::Result<Client> {
        let (Some(key), Some(application)) = (&self.api_key, &self.app_key) else {
            bail!("no credentials: set DATADOG_API_KEY and DATADOG_APP_KEY");
        };
        let mut credentials = Credentials::default();
        let url = self.api_url.clone().unwrap_or_else(|| format!("https://api.{}", self.site));
        let base = Base::parse(&url, &mut credentials).context("--site")?;
        for (name, key) in [("dd-api-key", key), ("dd-application-key", application)] {
            let value = HeaderValue::try_from(key.as_str());
            let mut value = value.ok().with_context(|| format!("{name} is no key"))?;
            value.set_sensitive(true);
            credentials.headers.push((HeaderName::from_static(name), value));
        }
        Client::new(base, credentials, None)
    }

    /// What Datadog itself can compare (contract §2.3); the rest is compared here.
    fn query(&self) -> String {
        let mut query = "@msgType:rrpair".to_owned();
        let exact =
            self.filters.exact().filter(|(field, _)| matches!(*field, "service" | "direction"));
        let protocol = self.l7protocol.as_deref().map(|value| ("l7protocol", value));
        for (field, value) in exact.chain(protocol) {
            let value = value.replace('\\', r"\\").replace('"', "\\\"");
            query.extend([" @", field, ":\"", &value, "\""]);
        }
        query
    }

    fn asked(&self, plan: &Plan, query: &str) -> Value {
        // Datadog's `to` is excluded, and counts milliseconds.
        let (from, to) = (plan.window.start.0 / 1_000_000, plan.window.end.0 / 1_000_000 + 1);
        let limit = self.common.limit().map_or(PAGE, |limit| limit.min(PAGE));
        let mut asked = json!({
            "filter": { "query": query, "from": from.to_string(), "to": to.to_string() },
            "sort": "-timestamp", "page": { "limit": limit },
        });
        if let (Some(cursor), Some(page)) = (&plan.cursor, asked.get_mut("page")) {
            *page = json!({ "limit": limit, "cursor": cursor });
        }
        asked
    }

    async fn fetch(&self, client: Arc<Client>, mut asked: Value, feed: Feed) -> anyhow::Result<()> {
        loop {
            let text = client.request(Method::POST, SEARCH, Some(&asked)).await;
            let text = text.map_err(explained).context("gather from Datadog")?;
            let answer: Answer =
                serde_json::from_slice(&text).context("its answer is no search result")?;
            ensure!(
                answer.meta.status.as_deref() != Some("timeout"),
                "Datadog ran out of time and gave a part; ask for a shorter window"
            );
            feed.progress.add_received(answer.data.len() as u64);
            let mut page = Page::default();
            for event in answer.data {
                match event::pair(event) {
                    None => feed.progress.add_foreign(1),
                    Some(pair) if self.filters.keeps(&pair.body) => page.pairs.push(pair),
                    Some(_) => {}
                }
            }
            let next = answer.meta.page.after;
            page.cursor = next.as_deref().map(Value::from);
            if feed.send(page).await.is_err() {
                return Ok(());
            }
            match (next, asked.get_mut("page").and_then(Value::as_object_mut)) {
                (Some(next), Some(page)) => {
                    let before = page.insert("cursor".into(), next.as_str().into());
                    // The same page for ever would be no answer.
                    ensure!(before != Some(Value::from(next)), "Datadog gives the same page again");
                }
                _ => return Ok(()),
            }
        }
    }
}

fn explained(error: RequestError) -> anyhow::Error {
    let hint = match &error {
        RequestError::Status { status, .. } => match status.as_u16() {
            401 | 403 => " (hint: see DATADOG_API_KEY, DATADOG_APP_KEY and --site)",
            429 => " (hint: Datadog limits how often one may search; try again with --resume)",
            _ => "",
        },
        _ => " (hint: see --site)",
    };
    anyhow::anyhow!("{error}{hint}")
}
