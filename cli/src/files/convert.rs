//! Recordings in another form.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use weir_rrpair::{json::object_to_compact_ascii, markdown, snapshot::host_directory};

use super::{ConvertCommand, Format};
use crate::{
    rules::recordings,
    snapshot::{
        read::{Place, documents},
        write_whole,
    },
    visible::Visible,
};

#[derive(Default)]
struct Written {
    /// RRPairs by ending.
    counts: BTreeMap<&'static str, u64>,
    /// Documents that are no RRPairs.
    others: u64,
    files: BTreeSet<PathBuf>,
    /// Files that everything was taken over from.
    done: BTreeSet<PathBuf>,
    /// Names that were given, with how often.
    names: HashMap<PathBuf, u64>,
}

impl ConvertCommand {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let mut written = Written::default();
        let mut kept = BTreeSet::new();
        // All of it is read before anything is written: what is written is not to be read again,
        // and what is damaged leaves everything as it is.
        let read = documents(&self.input)?.map(|document| {
            let (place, read) = document?;
            let read = read.with_context(|| place.to_string())?;
            Ok((place, read))
        });
        let read: Vec<_> = read.collect::<anyhow::Result<_>>()?;
        if let Some(directory) = &self.out {
            recordings::create(directory)?;
        }
        for (place, read) in read {
            let file = place.file.clone();
            if let Some(document) = read {
                written.pair(&self.base(&place, &document), &document, self.out_format)?;
                written.done.insert(file);
            } else {
                written.others += 1;
                kept.insert(file);
            }
        }
        if self.out.is_none() && !self.keep_original {
            for file in &written.done {
                if !kept.contains(file) && !written.files.contains(file) {
                    fs::remove_file(file).with_context(|| format!("remove {}", file.display()))?;
                }
            }
        }
        written.report(&self, out)?;
        Ok(ExitCode::from(u8::from(written.files.is_empty())))
    }

    /// Where a document's file goes, without its ending.
    fn base(&self, place: &Place, document: &Map<String, Value>) -> PathBuf {
        let ts = document.get("ts").and_then(Value::as_str).and_then(|ts| ts.parse().ok());
        let stem = markdown::file_stem(ts.unwrap_or_default());
        match &self.out {
            Some(out) => out.join(host_directory(document)).join(stem),
            // In its place, whatever the directories are called.
            None => place.file.parent().unwrap_or_else(|| Path::new("")).join(stem),
        }
    }
}

impl Written {
    fn pair(
        &mut self,
        base: &Path,
        document: &Map<String, Value>,
        format: Format,
    ) -> anyhow::Result<()> {
        let text = (format == Format::Markdown).then(|| markdown::write(document)).flatten();
        let (ending, text) = match text {
            Some(text) => ("md", text),
            None => ("json", object_to_compact_ascii(document)),
        };
        let file = self.free_name(base, ending);
        let writing = || format!("write {}", file.display());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(writing)?;
        }
        write_whole(&file, text.as_bytes()).with_context(writing)?;
        *self.counts.entry(ending).or_default() += 1;
        self.files.insert(file);
        Ok(())
    }

    /// A second pair of the same time and host gets a number.
    fn free_name(&mut self, base: &Path, ending: &str) -> PathBuf {
        // Not `with_extension`: the name itself holds a dot.
        let mut name = base.as_os_str().to_owned();
        let count = self.names.entry(base.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            name.push(format!("_{count}"));
        }
        name.push(format!(".{ending}"));
        PathBuf::from(name)
    }

    fn report(&self, command: &ConvertCommand, out: &mut impl Write) -> anyhow::Result<()> {
        let directory = command.out.as_ref().unwrap_or(&command.input).to_string_lossy();
        let directory = Visible(&directory);
        if self.files.is_empty() {
            writeln!(out, "no RRPairs in {}", Visible(&command.input.to_string_lossy()))?;
        }
        for (ending, count) in &self.counts {
            writeln!(out, "wrote {count} RRPairs to {directory} as .{ending}")?;
        }
        if self.others > 0 {
            writeln!(out, "({} documents are no RRPairs)", self.others)?;
        }
        Ok(())
    }
}
