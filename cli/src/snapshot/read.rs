//! Reading recordings back: a file for each RRPair (`.json`, or Markdown in `.md`), or one a line
//! (`.jsonl`); contract §5.1.

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use weir_rrpair::{RrPair, json, markdown};

use super::record_files;

/// Largest document that is taken for an RRPair.
const LARGEST: u64 = 64 << 20;

/// What a file, or a line of one, holds: an RRPair's document, `None` when it is another document
/// (it says no `direction`), or why it is none at all.
pub(crate) type Read = Result<Option<Map<String, Value>>, NoDocument>;

/// Why a file or a line holds no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDocument {
    #[error(transparent)]
    Json(#[from] json::ReadRecord),
    #[error(transparent)]
    Markdown(#[from] markdown::ReadMarkdown),
    #[error("not UTF-8 text")]
    NotText,
    #[error("larger than any RRPair (64 MiB)")]
    TooLarge,
}

/// Where a document is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// In a file with many.
    line: Option<Line>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Line {
    /// From 1.
    number: usize,
    /// Bytes before it.
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.display().fmt(f)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{}", line.number))
    }
}

impl Place {
    /// A whole file.
    pub(crate) fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), line: None }
    }

    /// Below `directory`, where it is there.
    pub(crate) fn below(&self, directory: &Path) -> Self {
        let file = self.file.strip_prefix(directory).unwrap_or(&self.file).to_owned();
        Self { file, line: self.line }
    }

    /// A file name for this document alone, in JSON.
    pub(crate) fn json_file(&self) -> PathBuf {
        let Some(line) = self.line else { return self.file.with_extension("json") };
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        self.file.with_file_name(format!("{stem}-{:06}.json", line.number))
    }

    /// The document that is there, RRPair or not.
    pub(crate) fn read(&self) -> io::Result<Map<String, Value>> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, NoDocument::TooLarge);
        let Some(line) = self.line else {
            let mut read = of_file(&self.file)?;
            let (_, read) = read.next().ok_or_else(|| io::Error::other("it is empty"))??;
            return read.map_err(io::Error::other)?.ok_or_else(|| io::Error::other("no RRPair"));
        };
        let mut file = fs::File::open(&self.file)?;
        file.seek(SeekFrom::Start(line.offset))?;
        let mut text = Vec::new();
        io::Read::take(BufReader::new(file), LARGEST + 1).read_until(b'\n', &mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(too_large());
        }
        json::object_from_slice(&text).map_err(io::Error::other)
    }
}

/// The documents of a file with their places.
pub(crate) type Documents = Box<dyn Iterator<Item = io::Result<(Place, Read)>> + Send>;

/// The documents of one file.
pub(crate) fn of_file(path: &Path) -> io::Result<Documents> {
    let ending = path.extension().unwrap_or_default();
    if ending == "jsonl" {
        let file = BufReader::new(fs::File::open(path)?);
        return Ok(Box::new(Lines { file, path: path.to_owned(), number: 0, offset: 0 }));
    }
    let read = if fs::metadata(path)?.len() > LARGEST {
        Err(NoDocument::TooLarge)
    } else if ending == "md" {
        of_markdown(fs::read(path)?)
    } else {
        json::object_from_slice(&fs::read(path)?).map(pair).map_err(NoDocument::from)
    };
    let place = Place::of(path);
    Ok(Box::new(std::iter::once(Ok((place, read)))))
}

fn of_markdown(bytes: Vec<u8>) -> Read {
    let text = String::from_utf8(bytes).map_err(|_quotes| NoDocument::NotText)?;
    match markdown::read(&text) {
        Ok(document) => Ok(pair(document)),
        // Notes may lie beside recordings.
        Err(markdown::ReadMarkdown::NoRequest) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn pair(document: Map<String, Value>) -> Option<Map<String, Value>> {
    Some(document).filter(|document| document.contains_key("direction"))
}

struct Lines {
    file: BufReader<fs::File>,
    path: PathBuf,
    number: usize,
    offset: u64,
}

impl Iterator for Lines {
    type Item = io::Result<(Place, Read)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut text = Vec::new();
            let line = Line { number: self.number + 1, offset: self.offset };
            match io::Read::take(&mut self.file, LARGEST + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(count) => self.offset += count as u64,
                Err(error) => return Some(Err(error)),
            }
            self.number += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let place = Place { file: self.path.clone(), line: Some(line) };
            let read = if text.len() as u64 > LARGEST {
                self.skip_line();
                Err(NoDocument::TooLarge)
            } else {
                json::object_from_slice(&text).map(pair).map_err(NoDocument::from)
            };
            return Some(Ok((place, read)));
        }
    }
}

impl Lines {
    /// Goes on behind a line of which a part was read.
    fn skip_line(&mut self) {
        loop {
            let Ok(buffer) = self.file.fill_buf() else { return };
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(buffer.len(), |at| at + 1);
            let is_last = end.is_some() || buffer.is_empty();
            self.file.consume(count);
            self.offset += count as u64;
            if is_last {
                return;
            }
        }
    }
}

/// Every document of a directory, in the order of files' names and of lines.
///
/// # Errors
///
/// When the directory cannot be listed; and in an item's place, when its file cannot be read.
pub(crate) fn documents(
    directory: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(Place, Read)>>> {
    let files = record_files(directory)
        .with_context(|| format!("read the directory {}", directory.display()))?;
    Ok(files.into_iter().flat_map(|path| {
        let reading = format!("read {}", path.display());
        let (found, failed) = match of_file(&path) {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(Err(error))),
        };
        found.into_iter().flatten().chain(failed).map(move |read| read.context(reading.clone()))
    }))
}

/// The records below a directory with their places. Documents that are something else may lie
/// beside them; what is none is an error.
///
/// # Errors
///
/// For the first that cannot be read.
pub(crate) fn records(directory: &Path) -> anyhow::Result<Vec<(Place, RrPair)>> {
    let mut records = Vec::new();
    for document in documents(directory)? {
        let (place, read) = document?;
        let Some(body) = read.with_context(|| place.to_string())? else { continue };
        let record = json::from_map(body).with_context(|| place.to_string())?;
        records.push((place, record));
    }
    Ok(records)
}
