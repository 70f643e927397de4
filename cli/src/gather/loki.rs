//! `weir gather loki`: every line of a window from Loki, exactly once.
//!
//! Loki has no cursor: pages are asked for by time, newest first, and a page that is full may end
//! in the middle of a nanosecond. So what shares the last nanosecond of a full page is asked for
//! again with the next one, and where one nanosecond fills a page it is taken apart by uuid.

mod line;
mod page;
mod query;

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use clap::Args;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Map, Value, json};

use self::page::Search;
use super::{
    CommonOptions,
    client::{Base, Client, Credentials},
    filter::FilterOptions,
    run::{About, Failed, Given},
    window::Moment,
    writer::Feed,
};

/// Gather from Loki.
///
/// Lines are taken as the Collector's loki exporter writes them and as Loki's own OTLP endpoint
/// does. User and password may also stand in the URL.
#[derive(Args, Debug)]
pub(crate) struct LokiCommand {
    /// Loki, such as http://localhost:3100.
    #[arg(long, value_name = "URL")]
    loki_url: String,
    /// Which streams hold the traffic. What came by Loki's own OTLP endpoint is in
    /// '{service_name="weir-forwarder"}'.
    #[arg(long, value_name = "LOGQL", default_value = query::SELECTOR)]
    selector: String,
    /// A whole log query in place of the selector and the filters; the window still applies.
    #[arg(long, value_name = "LOGQL")]
    logql: Option<String>,
    /// User for basic authentication.
    #[arg(long, value_name = "NAME", env = "LOKI_USERNAME", hide_env_values = true)]
    user: Option<String>,
    /// Password of the user; better set in the environment.
    #[arg(long, value_name = "TEXT", env = "LOKI_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Bearer token in place of a user; better set in the environment.
    #[arg(long, value_name = "TOKEN", env = "LOKI_BEARER_TOKEN", hide_env_values = true)]
    bearer_token: Option<String>,
    /// Tenant (X-Scope-OrgID).
    #[arg(long, value_name = "ID", env = "LOKI_ORG_ID")]
    org_id: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    filters: FilterOptions,
}

impl LokiCommand {
    pub(super) async fn run(self, messages: &mut impl Write) -> anyhow::Result<ExitCode> {
        let client = Arc::new(self.client()?);
        let question = json!({
            "source": "loki", "url": client.base().to_string(), "selector": self.selector,
            "logql": self.logql, "tenant": self.org_id, "filters": self.filters.question(),
        });
        let plan = self.common.plan(question, Moment::DEFAULT_START)?;
        // A query of one's own switches the filters off (contract §4.1).
        let filters =
            if self.logql.is_some() { FilterOptions::default() } else { self.filters.clone() };
        let logql = self.logql.clone();
        let logql = logql.unwrap_or_else(|| query::logql(&self.selector, &filters));
        let mut keys = Map::new();
        keys.insert("logql".into(), logql.as_str().into());
        let search = Search {
            client,
            logql,
            filters,
            window: plan.window,
            limit: self.common.limit(),
            cursor: plan.cursor.as_ref().and_then(Value::as_u64),
        };
        if self.common.dry_run {
            let matching = search.count().await.context("count the lines").map_err(Failed)?;
            let (window, base) = (plan.window, search.client.base());
            writeln!(messages, "window: {} to {}", window.start, window.end)?;
            writeln!(messages, "query at {base}: {}", search.logql)?;
            writeln!(messages, "{matching} lines match; nothing written (--dry-run)")?;
            return Ok(ExitCode::SUCCESS);
        }
        let about = About { tool: "loki-gather", source: "loki", keys, given: Given::NewestFirst };
        let gathering = self.common.gather(plan, about, messages, |feed| self.fetch(search, feed));
        Box::pin(gathering).await
    }

    async fn fetch(&self, search: Search, feed: Feed) -> anyhow::Result<()> {
        let progress = feed.progress.clone();
        search.run(feed).await.context("gather from Loki")?;
        if progress.written() == 0 {
            progress.set_hint(self.hint(&search, progress.received()).await);
        }
        Ok(())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let mut credentials = Credentials {
            user: self.user.clone(),
            password: self.password.clone(),
            headers: Vec::new(),
        };
        let base = Base::parse(&self.loki_url, &mut credentials).context("--loki-url")?;
        if credentials.user.is_none() && credentials.password.is_some() {
            bail!("a password without --user");
        }
        if let Some(token) = &self.bearer_token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .ok()
                .context("--bearer-token holds what no header can hold")?;
            value.set_sensitive(true);
            credentials.headers.push((header::AUTHORIZATION, value));
            credentials.user = None;
        }
        if let Some(tenant) = &self.org_id {
            let value = HeaderValue::try_from(tenant.as_str());
            let value = value.ok().context("--org-id holds what no header can hold")?;
            credentials.headers.push((HeaderName::from_static("x-scope-orgid"), value));
        }
        Client::new(base, credentials, self.ca_file.as_deref())
    }

    /// What may be wrong when nothing matched.
    async fn hint(&self, search: &Search, received: u64) -> String {
        if received > 0 && !self.filters.is_empty() && self.logql.is_none() {
            return "patterns must match the whole value, such as --endpoint '/api/.*'".to_owned();
        }
        match search.labels().await {
            Ok(labels) if labels.is_empty() => {
                "Loki has no line in this window at all; widen it with --start".to_owned()
            }
            Ok(labels) if self.logql.is_none() => format!(
                "is the traffic in the streams {}? Labels there are {}; set --selector",
                self.selector,
                labels.join(", ")
            ),
            _ => "widen the window with --start, or ask for less with the filters".to_owned(),
        }
    }
}
