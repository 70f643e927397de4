//! Rockets and launches, kept in PostgreSQL. It has a bug: see [`Catalogue::rocket`]. With
//! `--fixed` it is the build in which somebody has mended it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use weir_demo::http1::{self, Pieces, query_value};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS rocket (id text PRIMARY KEY, maker text NOT NULL, stages int NOT NULL);
    CREATE TABLE IF NOT EXISTS launch (id serial PRIMARY KEY, rocket text NOT NULL, pad text NOT NULL);
    INSERT INTO rocket VALUES
        ('falcon-9', 'SpaceX', 2), ('ariane-6', 'ArianeGroup', 2), ('electron', 'Rocket Lab', 2),
        ('saturn-v', 'Boeing', 3), ('soyuz-2', 'Progress', 3), ('vega-c', 'Avio', 4)
    ON CONFLICT DO NOTHING;";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let usage = "usage: outerspace-server ADDRESS [--fixed], with DATABASE_URL set";
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().context(usage)?;
    let address: SocketAddr = address.parse().context("parse address")?;
    let rest: Vec<String> = arguments.collect();
    let is_fixed = rest == ["--fixed"];
    anyhow::ensure!(is_fixed || rest.is_empty(), usage);
    let url = std::env::var("DATABASE_URL").context("read DATABASE_URL")?;
    let (client, connection) =
        tokio_postgres::connect(&url, NoTls).await.context("connect to the database")?;
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.context("create the tables")?;
    let catalogue = Arc::new(Catalogue { client, is_fixed });
    http1::serve("outerspace-server", address, move |request| {
        let catalogue = Arc::clone(&catalogue);
        async move { catalogue.answer(&request).await }
    })
    .await
}

struct Catalogue {
    client: Client,
    is_fixed: bool,
}

/// A refusal or a failure, told to the client.
struct Refused(StatusCode, &'static str);

impl From<tokio_postgres::Error> for Refused {
    fn from(_: tokio_postgres::Error) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "database failed")
    }
}

type Answer = Result<Response<Pieces>, Refused>;

impl Catalogue {
    async fn answer(&self, request: &Request<Bytes>) -> Response<Pieces> {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/api/rockets") => self.rockets().await,
            (&Method::GET | &Method::HEAD, "/api/rocket") => self.rocket(request).await,
            (&Method::PUT, "/api/rocket") => self.put_rocket(request).await,
            (&Method::DELETE, "/api/rocket") => self.delete_rocket(request).await,
            (&Method::POST, "/api/launch") => self.launch(request).await,
            _ => Err(Refused(StatusCode::NOT_FOUND, "no such resource")),
        };
        answer.unwrap_or_else(|Refused(status, why)| http1::json(status, &json!({ "error": why })))
    }

    /// All but what somebody builds in a garage, so that the list does not depend on what else
    /// was asked before.
    async fn rockets(&self) -> Answer {
        let query = "SELECT id, stages FROM rocket WHERE maker NOT LIKE 'garage %' ORDER BY id";
        let rows = self.client.query(query, &[]).await?;
        let rockets: Vec<Value> = rows
            .iter()
            .map(|row| json!({ "id": row.get::<_, &str>(0), "stages": row.get::<_, i32>(1) }))
            .collect();
        Ok(http1::json(StatusCode::OK, &json!({ "rockets": rockets })))
    }

    /// The bug: an id that ends in DEL (0x7f) is the client's mistake, a rocket that does not
    /// exist; this answers as if the server had failed.
    async fn rocket(&self, request: &Request<Bytes>) -> Answer {
        let id = id(request)?;
        if !self.is_fixed && id.ends_with('\x7f') {
            return Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "unprintable catalogue key"));
        }
        let row = self
            .client
            .query_opt("SELECT maker, stages FROM rocket WHERE id = $1", &[&id])
            .await?
            .ok_or(Refused(StatusCode::NOT_FOUND, "no such rocket"))?;
        let rocket = json!({
            "id": id, "maker": row.get::<_, &str>(0), "stages": row.get::<_, i32>(1),
        });
        Ok(http1::json(StatusCode::OK, &rocket))
    }

    async fn put_rocket(&self, request: &Request<Bytes>) -> Answer {
        let id = id(request)?;
        let body = object(request)?;
        let maker = text(&body, "maker")?;
        let stages = body["stages"].as_i64().and_then(|stages| i32::try_from(stages).ok());
        let stages = stages.ok_or(Refused(StatusCode::BAD_REQUEST, "stages must be a number"))?;
        self.client
            .execute(
                "INSERT INTO rocket VALUES ($1, $2, $3)
                 ON CONFLICT (id) DO UPDATE SET maker = $2, stages = $3",
                &[&id, &maker, &stages],
            )
            .await?;
        Ok(http1::json(StatusCode::OK, &json!({ "id": id, "maker": maker, "stages": stages })))
    }

    async fn delete_rocket(&self, request: &Request<Bytes>) -> Answer {
        self.client.execute("DELETE FROM rocket WHERE id = $1", &[&id(request)?]).await?;
        let mut response = Response::new(Pieces::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    async fn launch(&self, request: &Request<Bytes>) -> Answer {
        let body = object(request)?;
        let (rocket, pad) = (text(&body, "rocket")?, text(&body, "pad")?);
        let row = self
            .client
            .query_one(
                "INSERT INTO launch (rocket, pad) VALUES ($1, $2) RETURNING id",
                &[&rocket, &pad],
            )
            .await?;
        let launch = json!({ "launch": row.get::<_, i32>(0), "rocket": rocket, "pad": pad });
        Ok(http1::json(StatusCode::CREATED, &launch))
    }
}

/// The decoded `id` of the query. PostgreSQL's text has no NUL, so no rocket is called so.
fn id(request: &Request<Bytes>) -> Result<String, Refused> {
    let bytes = query_value(request.uri().query(), "id")
        .ok_or(Refused(StatusCode::BAD_REQUEST, "id is missing"))?;
    String::from_utf8(bytes)
        .ok()
        .filter(|id| !id.contains('\0'))
        .ok_or(Refused(StatusCode::NOT_FOUND, "no such rocket"))
}

fn object(request: &Request<Bytes>) -> Result<Value, Refused> {
    serde_json::from_slice(request.body())
        .ok()
        .filter(Value::is_object)
        .ok_or(Refused(StatusCode::BAD_REQUEST, "body must be a JSON object"))
}

fn text(body: &Value, field: &str) -> Result<String, Refused> {
    body[field]
        .as_str()
        .filter(|text| !text.contains('\0'))
        .map(str::to_owned)
        .ok_or(Refused(StatusCode::BAD_REQUEST, "a text field is missing"))
}
