//! A small HTTP/1.1 client that keeps what it sent and received, byte for byte.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    truth::{Exchange, Fields},
    wait::PATIENCE,
};

/// How a request's body travels.
#[derive(Clone, Debug)]
pub enum Upload {
    /// No body and no length.
    None,
    /// With `Content-Length`.
    Sized(Vec<u8>),
    /// With `Transfer-Encoding: chunked`, in these chunks, none of which may be empty.
    Chunked(Vec<Vec<u8>>),
    /// With `Content-Length`, after the server's `100 Continue`.
    Expect(Vec<u8>),
}

impl Upload {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Sized(body) | Self::Expect(body) => body.clone(),
            Self::Chunked(chunks) => chunks.concat(),
        }
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    /// Path and query, sent as it is.
    pub target: String,
    /// Extra header lines.
    pub headers: Vec<(String, String)>,
    pub upload: Upload,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub const fn get(target: String) -> Self {
        Self { method: "GET", target, headers: Vec::new(), upload: Upload::None }
    }

    /// A request with a sized body.
    #[must_use]
    pub const fn post(target: String, body: Vec<u8>) -> Self {
        Self { method: "POST", target, headers: Vec::new(), upload: Upload::Sized(body) }
    }

    fn lines(&self, host: &str) -> Vec<(String, String)> {
        let mut lines = vec![("Host".to_owned(), host.to_owned())];
        lines.extend(self.headers.iter().cloned());
        let mut add = |name: &str, value: String| lines.push((name.to_owned(), value));
        match &self.upload {
            Upload::None => {}
            Upload::Sized(body) => add("Content-Length", body.len().to_string()),
            Upload::Chunked(_) => add("Transfer-Encoding", "chunked".to_owned()),
            Upload::Expect(body) => {
                add("Content-Length", body.len().to_string());
                add("Expect", "100-continue".to_owned());
            }
        }
        lines
    }

    fn head(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in self.lines(host) {
            head.push_str(&name);
            head.push_str(": ");
            head.push_str(&value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// A response as received; transfer coding undone.
#[derive(Clone, Debug)]
struct Response {
    status: u16,
    headers: Fields,
    body: Vec<u8>,
}

/// One connection, used for any number of requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    host: String,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true).context("set nodelay")?;
        // So that a server that does not answer fails the test instead of hanging it.
        stream.set_read_timeout(Some(PATIENCE)).context("set a read timeout")?;
        stream.set_write_timeout(Some(PATIENCE)).context("set a write timeout")?;
        Ok(Self { stream, host: address.to_string(), received: Vec::new() })
    }

    /// This side's address.
    ///
    /// # Errors
    ///
    /// When the socket has none.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.stream.local_addr().context("read the local address")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("send")
    }

    /// Sends requests in one go, then reads their responses in order.
    ///
    /// # Errors
    ///
    /// When the connection ends or an answer is not HTTP.
    pub fn pipeline(&mut self, requests: &[Request]) -> Result<Vec<Exchange>> {
        let mut bytes = Vec::new();
        for request in requests {
            ensure!(!matches!(request.upload, Upload::Expect(_)), "cannot be pipelined");
            bytes.extend(request.head(&self.host));
            write_body(&request.upload, &mut bytes);
        }
        self.send_raw(&bytes)?;
        requests.iter().map(|request| self.finish(request)).collect()
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    ///
    /// When the connection ends or the answer is not HTTP.
    pub fn exchange(&mut self, request: &Request) -> Result<Exchange> {
        let mut bytes = request.head(&self.host);
        match &request.upload {
            Upload::Expect(body) => {
                self.send_raw(&bytes)?;
                let interim = self.read_head()?;
                ensure!(interim.0 == 100, "wanted 100, got {}", interim.0);
                self.send_raw(body)?;
            }
            // Chunks are sent one by one, so that the server sees them apart.
            Upload::Chunked(chunks) => {
                self.send_raw(&bytes)?;
                for chunk in chunks {
                    let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
                    framed.extend(chunk);
                    framed.extend(b"\r\n");
                    self.send_raw(&framed)?;
                }
                self.send_raw(b"0\r\n\r\n")?;
            }
            other => {
                write_body(other, &mut bytes);
                self.send_raw(&bytes)?;
            }
        }
        self.finish(request)
    }

    fn finish(&mut self, request: &Request) -> Result<Exchange> {
        let response = self.read_response(request.method)?;
        let mut request_headers = Fields::new();
        for (name, value) in request.lines(&self.host) {
            request_headers.entry(name.to_ascii_lowercase()).or_default().push(value);
        }
        Ok(Exchange {
            method: request.method.to_owned(),
            uri: request.target.clone(),
            request_headers,
            request_body: request.upload.bytes(),
            status: response.status,
            response_headers: response.headers,
            response_body: response.body,
        })
    }

    fn read_response(&mut self, method: &str) -> Result<Response> {
        let (status, headers) = loop {
            let head = self.read_head()?;
            if head.0 >= 200 {
                break head;
            }
        };
        let last = |name: &str| headers.get(name).and_then(|values| values.last());
        let body = if method == "HEAD" || status == 204 || status == 304 {
            Vec::new()
        } else if last("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            self.read_chunked()?
        } else if let Some(length) = last("content-length") {
            let length = length.parse().context("content-length is no number")?;
            self.take(length)?
        } else {
            self.read_to_end()?
        };
        Ok(Response { status, headers, body })
    }

    fn read_head(&mut self) -> Result<(u16, Fields)> {
        let status_line = self.read_line()?;
        let mut words = status_line.split(' ');
        ensure!(words.next() == Some("HTTP/1.1"), "not HTTP/1.1: {status_line:?}");
        let status = words.next().unwrap_or_default().parse().context("no status code")?;
        let mut headers = Fields::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            let values: &mut Vec<String> = headers.entry(name.to_ascii_lowercase()).or_default();
            values.push(value.trim().to_owned());
        }
    }

    fn read_chunked(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let length = usize::from_str_radix(digits, 16).context("no chunk size")?;
            if length == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(length)?);
            ensure!(self.read_line()?.is_empty(), "a chunk does not end where it should");
        }
    }

    fn read_line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).context("a line that is not UTF-8");
            }
            if self.fill()? == 0 {
                bail!("the connection ended inside a message");
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.received.len() < length {
            if self.fill()? == 0 {
                bail!("the connection ended inside a body");
            }
        }
        Ok(self.received.drain(..length).collect())
    }

    fn read_to_end(&mut self) -> Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.received))
    }

    fn fill(&mut self) -> Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).context("receive")?;
        self.received.extend(buffer.iter().take(count));
        Ok(count)
    }
}

fn write_body(upload: &Upload, out: &mut Vec<u8>) {
    match upload {
        Upload::None => {}
        Upload::Sized(body) | Upload::Expect(body) => out.extend(body),
        Upload::Chunked(chunks) => {
            for chunk in chunks {
                out.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests;
