//! Which processes of this machine have encrypted connections that could be read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
};

use weir_link::TlsOpaque;
use weir_tlsprobe::examine;

use super::{
    files::{self, Candidate, FileId},
    why,
};

/// Bytes of programs and libraries read for one survey.
const MAX_BYTES: u64 = 2 << 30;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Processes with a TLS library that can be probed.
    pub(crate) readable: usize,
    /// Names of programs whose own TLS cannot.
    pub(crate) opaque: BTreeMap<TlsOpaque, BTreeSet<String>>,
    /// Some files were left out.
    pub(crate) incomplete: bool,
}

/// Looks at every process that this one may look at. Nothing is probed.
pub(crate) fn survey() -> Survey {
    let mut survey = Survey::default();
    let (mut known, mut left) = (HashMap::new(), MAX_BYTES);
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let Some(program) = files::program(pid) else { continue };
        let mut opaque = None;
        let mut readable = false;
        for (candidate, own) in std::iter::once((program, true))
            .chain(files::named(pid, &files::maps(pid)).into_iter().map(|library| (library, false)))
        {
            match verdict(&candidate, &mut known, &mut left) {
                Some(Ok(())) => readable = true,
                Some(Err(TlsOpaque::NoSymbols)) => {}
                Some(Err(why)) if own => opaque = Some(why),
                Some(Err(_)) => {}
                None => survey.incomplete = true,
            }
        }
        survey.readable += usize::from(readable);
        if let Some(why) = opaque.filter(|_| !readable) {
            survey.opaque.entry(why).or_default().insert(name(pid));
        }
    }
    survey
}

/// `None` when too much was read already.
fn verdict(
    candidate: &Candidate,
    known: &mut HashMap<FileId, Result<(), TlsOpaque>>,
    left: &mut u64,
) -> Option<Result<(), TlsOpaque>> {
    if let Some(verdict) = known.get(&candidate.id) {
        return Some(*verdict);
    }
    *left = left.checked_sub(candidate.id.size())?;
    let bytes = candidate.read().ok_or(TlsOpaque::NotExamined);
    let verdict = bytes.and_then(|bytes| examine(&bytes).map(drop).map_err(why));
    known.insert(candidate.id, verdict);
    Some(verdict)
}

/// The process's name, which is its owner's choice: without control characters.
fn name(pid: u32) -> String {
    shown(&fs::read(format!("/proc/{pid}/comm")).unwrap_or_default())
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).trim_end().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_read_once_and_only_so_many_bytes() {
        let program = files::program(std::process::id()).unwrap();
        let (mut known, mut left) = (HashMap::new(), 0);
        assert_eq!(verdict(&program, &mut known, &mut left), None);
        left = program.id.size();
        let found = verdict(&program, &mut known, &mut left);
        // Its own dependencies are no TLS library.
        assert_eq!((found, left), (Some(Err(TlsOpaque::NoSymbols)), 0));
        assert_eq!(verdict(&program, &mut known, &mut left), found);
    }

    #[test]
    fn names_cannot_drive_a_terminal() {
        assert!(!name(std::process::id()).is_empty());
        assert_eq!(name(u32::MAX), "");
        assert_eq!(shown(b"a\x1b[31mb\n"), "a\\u{1b}[31mb");
    }
}
