//! `weir gather es`: every record of a window from Elasticsearch, exactly once.
//!
//! A point in time freezes what is searched; pages follow each other by `search_after`, several
//! slices at once; the slices are merged, so that records come newest first as from one search.

mod document;
mod lucene;
mod page;
mod query;

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use clap::Args;
use http::{HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use self::page::Search;
use super::{
    CommonOptions,
    client::{Base, Client, Credentials},
    filter::FilterOptions,
    run::{About, Failed, Given},
    window::{Moment, Window},
    writer::Feed,
};

/// How long Elasticsearch keeps a point in time after each page.
const KEEP_ALIVE: &str = "5m";
/// What may stand in a path as it is: index names, lists and wildcards of them.
const INDEX: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b',').remove(b'*').remove(b'+');

/// Gather from Elasticsearch.
///
/// User and password may also stand in the URL.
#[derive(Args, Debug)]
pub(crate) struct EsCommand {
    /// Elasticsearch, such as http://localhost:9200.
    #[arg(long, value_name = "URL")]
    es_url: String,
    /// Index, or several with commas and wildcards.
    #[arg(long, value_name = "NAME", default_value = "speedscale-rrpair")]
    index: String,
    /// A clause of Elasticsearch's query language, as JSON, in place of the filters; the window
    /// still applies.
    #[arg(long, value_name = "JSON", value_parser = clause)]
    query: Option<Value>,
    /// User for basic authentication.
    #[arg(long, value_name = "NAME", env = "ES_USERNAME", hide_env_values = true)]
    user: Option<String>,
    /// Password of the user; better set in the environment.
    #[arg(long, value_name = "TEXT", env = "ES_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// API key, base64 as Elasticsearch gives it; better set in the environment.
    #[arg(long, value_name = "KEY", env = "ES_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Pages to ask for at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    slices: u8,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    filters: FilterOptions,
}

fn clause(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

impl EsCommand {
    pub(super) async fn run(self, messages: &mut impl Write) -> anyhow::Result<ExitCode> {
        let client = Arc::new(self.client()?);
        let plan = self.common.plan(self.question(&client), Moment::DEFAULT_START)?;
        // A query of one's own switches the filters off (contract §4.1).
        let filters =
            if self.query.is_some() { FilterOptions::default() } else { self.filters.clone() };
        let query = query::query(&plan.window, &filters, self.query.as_ref());
        if self.common.dry_run {
            return self.dry_run(&client, &plan.window, &query, messages).await;
        }
        let mut keys = Map::new();
        keys.insert("esIndex".into(), self.index.as_str().into());
        keys.insert("esQuery".into(), query.clone());
        let about =
            About { tool: "es-gather", source: "elasticsearch", keys, given: Given::NewestFirst };
        let search = Search {
            client,
            index: self.index.clone(),
            query,
            filters,
            slices: usize::from(self.slices),
            limit: self.common.limit(),
            cursor: plan.cursor.clone(),
        };
        let gathering = self.common.gather(plan, about, messages, |feed| self.fetch(search, feed));
        Box::pin(gathering).await
    }

    async fn fetch(&self, search: Search, feed: Feed) -> anyhow::Result<()> {
        let (client, filters) = (Arc::clone(&search.client), search.filters.clone());
        let progress = feed.progress.clone();
        let asked = self.asking();
        search.run(feed).await.with_context(asked)?;
        if progress.written() == 0 {
            let hint = self.hint(&client, &filters, progress.received()).await;
            progress.set_hint(hint);
        }
        Ok(())
    }

    fn asking(&self) -> impl Fn() -> String + use<> {
        let index = self.index.clone();
        move || format!("gather from the index {index}")
    }

    fn question(&self, client: &Client) -> Value {
        json!({
            "source": "elasticsearch", "url": client.base().to_string(), "index": self.index,
            "query": self.query, "filters": self.filters.question(),
        })
    }

    fn client(&self) -> anyhow::Result<Client> {
        let mut credentials = Credentials {
            user: self.user.clone(),
            password: self.password.clone(),
            headers: Vec::new(),
        };
        let base = Base::parse(&self.es_url, &mut credentials).context("--es-url")?;
        if credentials.user.is_none() && credentials.password.is_some() {
            bail!("a password without --user");
        }
        if let Some(key) = &self.api_key {
            let mut value = HeaderValue::try_from(format!("ApiKey {key}"))
                .ok()
                .context("--api-key holds what no header can hold")?;
            value.set_sensitive(true);
            credentials.headers.push((header::AUTHORIZATION, value));
            credentials.user = None;
        }
        Client::new(base, credentials, self.ca_file.as_deref())
    }

    async fn dry_run(
        &self,
        client: &Client,
        window: &Window,
        query: &Value,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let matching = count(client, &self.index, Some(query)).await;
        let matching = matching.with_context(self.asking()).map_err(Failed)?;
        writeln!(messages, "window: {} to {}", window.start, window.end)?;
        writeln!(messages, "query of {} at {}: {query}", self.index, client.base())?;
        writeln!(messages, "{matching} documents match; nothing written (--dry-run)")?;
        Ok(ExitCode::SUCCESS)
    }

    /// What may be wrong when nothing matched.
    async fn hint(&self, client: &Client, filters: &FilterOptions, received: u64) -> String {
        if received > 0 && !filters.is_empty() {
            return "patterns must match the whole value, such as --endpoint '/api/.*'".to_owned();
        }
        match count(client, &self.index, None).await {
            Ok(0) => return format!("the index {} holds no document", self.index),
            Err(_) => return "widen the window with --start".to_owned(),
            Ok(_) => {}
        }
        if let Ok(missing) = missing_fields(client, &self.index, filters).await
            && let Some(field) = missing.first()
        {
            return format!(
                "the index {} has no field {field}: no document, or another mapping",
                self.index
            );
        }
        match newest(client, &self.index).await {
            Some(time) if filters.is_empty() => {
                format!("the newest record is of {time}; set --start and --end around it")
            }
            _ => "widen the window with --start, or ask for less with the filters".to_owned(),
        }
    }
}

/// The path of an index.
fn path(index: &str, rest: &str) -> String {
    format!("/{}{rest}", utf8_percent_encode(index, INDEX))
}

async fn count(client: &Client, index: &str, query: Option<&Value>) -> anyhow::Result<u64> {
    let body = query.map(|query| json!({ "query": query }));
    let answer = client.request(Method::POST, &path(index, "/_count"), body.as_ref()).await?;
    let answer: Value = serde_json::from_slice(&answer).context("its answer is no JSON")?;
    answer.get("count").and_then(Value::as_u64).context("its answer holds no count")
}

/// Fields of the filters that the index does not know.
async fn missing_fields(
    client: &Client,
    index: &str,
    filters: &FilterOptions,
) -> anyhow::Result<Vec<String>> {
    let mut fields = query::fields(filters);
    if fields.is_empty() {
        return Ok(fields);
    }
    let asked = path(index, &format!("/_field_caps?fields={}", fields.join(",")));
    let answer = client.request(Method::GET, &asked, None).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    fields.retain(|field| answer.get("fields").is_none_or(|known| known.get(field).is_none()));
    Ok(fields)
}

async fn newest(client: &Client, index: &str) -> Option<String> {
    let body = json!({ "size": 0, "aggs": { "newest": { "max": { "field": query::TIME } } } });
    let answer = client.request(Method::POST, &path(index, "/_search"), Some(&body)).await.ok()?;
    let answer: Value = serde_json::from_slice(&answer).ok()?;
    Some(answer.get("aggregations")?.get("newest")?.get("value_as_string")?.as_str()?.to_owned())
}
