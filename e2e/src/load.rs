//! Traffic with a known truth.

use std::{net::SocketAddr, thread};

use anyhow::{Context as _, Result};

use crate::{
    http::{Connection, Request, Upload},
    random::Random,
    servers::FILE_SIZES,
    truth::Exchange,
};

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// Before every path.
    pub prefix: &'static str,
    /// Connections at the same time, each with a thread of its own.
    pub connections: usize,
    /// Requests on each connection.
    pub requests: usize,
    /// Requests sent before the first response is read; 1 is plain keep-alive.
    pub depth: usize,
    /// Largest request body in bytes.
    pub body_limit: usize,
    pub seed: u64,
    pub mix: Mix,
}

/// Which requests to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mix {
    /// GET of `/bytes/<n>`, for servers of files.
    Downloads,
    /// Bodies to `/echo`: sized, chunked, after 100-continue; also GET and HEAD and the other
    /// methods.
    All,
    /// Like `All`, for servers that do not decode chunked uploads and 100-continue.
    Sized,
}

impl Load {
    /// A thousand small requests over 64 connections.
    #[must_use]
    pub const fn new(address: SocketAddr, mix: Mix) -> Self {
        Self {
            address,
            prefix: "",
            connections: 64,
            requests: 16,
            depth: 1,
            body_limit: 2048,
            seed: 1,
            mix,
        }
    }

    /// Sends everything and gives what happened.
    ///
    /// # Errors
    ///
    /// When a connection fails: then no truth is known.
    pub fn run(&self) -> Result<Vec<Exchange>> {
        let threads: Vec<_> = (0..self.connections)
            .map(|number| {
                let load = *self;
                thread::spawn(move || load.one_connection(number))
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let exchanges = thread.join().ok().context("a client thread panicked")?;
            all.extend(exchanges?);
        }
        Ok(all)
    }

    fn one_connection(&self, number: usize) -> Result<Vec<Exchange>> {
        let mut random = Random::new(self.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let mut connection = Connection::open(self.address)?;
        let mut done = Vec::new();
        while done.len() < self.requests {
            let count = self.depth.min(self.requests - done.len());
            let requests: Vec<Request> = (0..count)
                .map(|at| {
                    let id = format!("{}-{number}-{}", self.seed, done.len() + at);
                    self.request(&id, &mut random)
                })
                .collect();
            if self.depth == 1 {
                for request in &requests {
                    done.push(connection.exchange(request)?);
                }
            } else {
                done.extend(connection.pipeline(&requests)?);
            }
        }
        Ok(done)
    }

    fn request(&self, id: &str, random: &mut Random) -> Request {
        let size = random.size(self.body_limit);
        let sizes = FILE_SIZES.iter().filter(|&&size| size <= self.body_limit).count();
        let file = FILE_SIZES.get(random.below(sizes)).copied().unwrap_or_default();
        let prefix = self.prefix;
        let download = Request::get(format!("{prefix}/bytes/{file}?id={id}"));
        if self.mix == Mix::Downloads {
            return download;
        }
        // Raw bytes that a target may hold although no standard allows them come as escapes.
        let target = format!("{prefix}/echo?id={id}&q=%7f%00%C3%A9+a%2Fb&empty");
        let mut request = match random.below(8) {
            0 => download,
            1 => Request { method: "HEAD", ..download },
            2 => Request { method: "PUT", ..Request::post(target, random.bytes(size)) },
            3 => Request { method: "DELETE", ..Request::get(format!("{prefix}/none?id={id}")) },
            _ => Request::post(target, random.bytes(size)),
        };
        if self.mix == Mix::All && request.method == "POST" && size > 0 {
            match random.below(4) {
                0 => request.upload = chunked(random, size),
                // A body may not be announced while other requests follow in the pipeline.
                1 if self.depth == 1 => request.upload = Upload::Expect(random.bytes(size)),
                _ => {}
            }
        }
        request.headers.push(("X-Id".to_owned(), id.to_owned()));
        request.headers.push(("X-Two".to_owned(), "first".to_owned()));
        request.headers.push(("X-Two".to_owned(), "second, \"quoted\"".to_owned()));
        request
    }
}

fn chunked(random: &mut Random, size: usize) -> Upload {
    let body = random.bytes(size);
    let step = 1 + random.below(size);
    Upload::Chunked(body.chunks(step).take(64).map(<[u8]>::to_vec).collect())
}
