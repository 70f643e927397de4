//! The files of a process that may have TLS functions. Nothing is followed outside the process's
//! own root, and what is opened is looked at before it is read.

use std::{
    fs::{self, File},
    io::Read as _,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// Larger files are not read.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Most bytes read of a process's list of mappings.
const MAX_MAPS_BYTES: u64 = 4 << 20;
/// Most libraries looked at in one process by their names.
const MAX_LIBRARIES: usize = 16;
/// Most files looked at in one process whatever their names, and most bytes of them: a library for
/// TLS may be part of another one.
const MAX_UNNAMED: usize = 64;
const MAX_MAPPINGS: usize = 4096;
const MAX_UNNAMED_BYTES: u64 = 256 << 20;
/// No library for TLS is smaller.
const MIN_UNNAMED_BYTES: u64 = 192 << 10;

/// Where systems keep the libraries that new programs will use.
const USUAL: [&str; 12] = [
    "lib/x86_64-linux-gnu/libssl.so.3",
    "lib/x86_64-linux-gnu/libssl.so.1.1",
    "lib/x86_64-linux-gnu/libgnutls.so.30",
    "lib64/libssl.so.3",
    "lib64/libssl.so.1.1",
    "lib64/libgnutls.so.30",
    "lib/libssl.so.3",
    "lib/libssl.so.1.1",
    "usr/lib/libssl.so.3",
    "usr/lib/libssl.so.1.1",
    "usr/lib/libgnutls.so.30",
    "usr/local/lib/libssl.so.3",
];

/// Which file, and which content of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FileId {
    /// Bytes of the file.
    pub(super) const fn size(self) -> u64 {
        self.size
    }
}

/// An open regular file.
pub(super) struct Candidate {
    pub(super) id: FileId,
    pub(super) file: File,
}

impl Candidate {
    fn new(file: File) -> Option<Self> {
        let found = file.metadata().ok()?;
        found.is_file().then_some(())?;
        let id = FileId {
            device: found.dev(),
            inode: found.ino(),
            size: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        };
        Some(Self { id, file })
    }

    /// Its content, unless that is too large; a file that grows meanwhile is cut.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        (self.id.size <= MAX_FILE_BYTES).then_some(())?;
        let mut bytes = Vec::new();
        (&self.file).take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// The program that `pid` runs.
pub(super) fn program(pid: u32) -> Option<Candidate> {
    by_kernel(&format!("/proc/{pid}/exe"))
}

/// What a link of `/proc` stands for.
fn by_kernel(path: &str) -> Option<Candidate> {
    let found = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    regular(found)
}

/// Opens what `found`, which is not open yet, names. To open a device is to use it, and a process
/// chooses what lies under its root: so it is looked at first.
fn regular(found: OwnedFd) -> Option<Candidate> {
    let kind = FileType::from_raw_mode(fstat(&found).ok()?.st_mode);
    (kind == FileType::RegularFile).then_some(())?;
    Candidate::new(File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?)
}

/// What `maps` of `pid` lists by the name of a TLS library.
pub(super) fn named(pid: u32, maps: &str) -> Vec<Candidate> {
    let lines = maps.lines().filter_map(mapping).filter(|(_, path)| is_tls_library(path));
    lines.take(MAX_LIBRARIES).filter_map(|(range, path)| open_mapped(pid, range, path)).collect()
}

/// What else `maps` of `pid` lists that may have TLS functions.
pub(super) fn unnamed(pid: u32, maps: &str) -> Vec<Candidate> {
    let lines = maps.lines().filter_map(mapping).filter(|(_, path)| !is_tls_library(path));
    let lines = lines.take(MAX_MAPPINGS);
    let mut left = MAX_UNNAMED_BYTES;
    lines
        .filter_map(|(range, path)| open_mapped(pid, range, path))
        .filter(|found| (MIN_UNNAMED_BYTES..=MAX_FILE_BYTES).contains(&found.id.size))
        .take(MAX_UNNAMED)
        .take_while(|found| {
            let rest = left.checked_sub(found.id.size);
            left = rest.unwrap_or(0);
            rest.is_some()
        })
        .collect()
}

/// The kernel's list of what `pid` has mapped.
pub(super) fn maps(pid: u32) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/maps"))
        && let Err(error) = file.take(MAX_MAPS_BYTES).read_to_end(&mut text)
    {
        tracing::debug!(pid, %error, "could not read its mappings");
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Address range and path of an executable mapping of a file.
fn mapping(line: &str) -> Option<(&str, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (rights, _) = rest.split_once(' ')?;
    // The path begins at the first slash: nothing before it has one.
    let path = rest.get(rest.find('/')?..)?;
    rights.contains('x').then_some((range, path))
}

fn is_tls_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["libssl", "libgnutls", "boringssl", "tcnative", "conscrypt"]
        .iter()
        .any(|part| name.contains(part))
}

/// Opens by the mapping itself, which finds also what was deleted or replaced; else by its path.
fn open_mapped(pid: u32, range: &str, path: &str) -> Option<Candidate> {
    by_kernel(&format!("/proc/{pid}/map_files/{range}"))
        .or_else(|| in_root(pid, path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// The file systems' libraries under the root of `pid`.
pub(super) fn usual(pid: u32) -> Vec<Candidate> {
    USUAL.iter().filter_map(|path| in_root(pid, path)).collect()
}

fn in_root(pid: u32, path: &str) -> Option<Candidate> {
    below(&File::open(format!("/proc/{pid}/root")).ok()?, path)
}

/// Links are followed as who has this root would: an absolute one begins there.
fn below(root: &File, path: &str) -> Option<Candidate> {
    let found = openat2(
        root,
        Path::new(path),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    regular(found.ok()?)
}

/// Device and inode of the root of `pid`.
pub(super) fn root(pid: u32) -> Option<(u64, u64)> {
    let found = fs::metadata(format!("/proc/{pid}/root/")).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_mappings_of_files_are_found() {
        let line = "7f1c-7f2d r-xp 00001000 fe:00 1234   /usr/lib/x/libssl.so.3 (deleted)";
        assert_eq!(mapping(line), Some(("7f1c-7f2d", "/usr/lib/x/libssl.so.3 (deleted)")));
        assert_eq!(mapping("7f1c-7f2d rw-p 00001000 fe:00 1234   /usr/lib/libssl.so.3"), None);
        assert_eq!(mapping("7f1c-7f2d r-xp 00000000 00:00 0      [vdso]"), None);
        assert_eq!(mapping(""), None);
    }

    #[test]
    fn libraries_are_known_by_their_names() {
        assert!(is_tls_library("/usr/lib/x86_64-linux-gnu/libssl.so.3"));
        assert!(is_tls_library("/app/psycopg2_binary.libs/libssl-81ffa89e.so.3"));
        assert!(!is_tls_library("/opt/libssl/libfoo.so"));
    }

    #[test]
    fn the_program_of_this_process_is_opened_and_nothing_of_none() {
        let id = std::process::id();
        let program = program(id).unwrap();
        assert!(program.read().unwrap().starts_with(b"\x7fELF"));
        assert!(root(id).is_some());
        assert!(in_root(id, "../../../proc/self/exe").is_none_or(|found| found.id != program.id));
        assert!(super::program(u32::MAX).is_none());
    }

    #[test]
    fn links_lead_nowhere_outside_of_their_root() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        fs::write(root.join("inside"), "inside").unwrap();
        let outside = folder.path().join("secret");
        let links = [
            ("absolute", outside.to_str().unwrap()),
            ("climbs", "../../../../../../../../../../../../secret"),
            ("magic", "/proc/self/root"),
            ("itself", "itself"),
            ("own", "/inside"),
        ];
        for (name, target) in links {
            symlink(target, root.join("lib").join(name)).unwrap();
        }
        symlink(folder.path(), root.join("lib/folder")).unwrap();
        // The kernel's own links lead to any file of any process.
        symlink("/proc/self/exe", root.join("lib/exe")).unwrap();
        let root = File::open(&root).unwrap();
        for name in
            ["absolute", "climbs", "magic", "itself", "exe", "folder/secret", "../../secret"]
        {
            assert!(below(&root, &format!("lib/{name}")).is_none(), "{name}");
        }
        assert_eq!(below(&root, "lib/own").unwrap().read().unwrap(), b"inside");
        // With the machine's own root those links of the kernel are there, and not followed.
        let machine = File::open("/").unwrap();
        assert!(below(&machine, "proc/self/exe").is_none());
        assert!(below(&machine, &format!("{}/root/lib/exe", folder.path().display())).is_none());
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        // To open it for reading would wait for somebody who writes.
        let pipe = folder.path().join("libssl.so.3");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = File::open(folder.path()).unwrap();
        assert!(below(&root, "libssl.so.3").is_none());
        assert!(below(&root, ".").is_none());
        assert!(below(&File::open("/").unwrap(), "dev/null").is_none());
        assert!(by_kernel("/dev/null").is_none());
    }
}
