//! Reading `/proc`. Everything there may vanish or lie while we read: bounded, and `None`
//! rather than a guess.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use weir_link::cgroup;

use super::{Process, labels::base_name};

/// Most bytes read of a command line, an environment or a list of control groups.
const MAX_BYTES: u64 = 128 << 10;

/// State `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// All processes that are not in `known`, with the ports that they listen on.
pub(crate) fn all(known: &HashSet<u32>) -> Vec<Process> {
    let mut listeners = Listeners::default();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| !known.contains(pid))
        .filter_map(|pid| read(pid, &mut listeners))
        .collect()
}

/// One process.
pub(crate) fn one(pid: u32) -> Option<Process> {
    read(pid, &mut Listeners::default())
}

fn read(pid: u32, listeners: &mut Listeners) -> Option<Process> {
    // Kernel threads have no program.
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let exe = exe.to_string_lossy();
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe).to_owned();
    let cgroups = read_bounded(Path::new(&format!("/proc/{pid}/cgroup"))).unwrap_or_default();
    let cgroups = String::from_utf8_lossy(&cgroups);
    let process = Process {
        pid,
        start_ticks: start_ticks(pid)?,
        script: if Process::is_interpreter(&exe) { script(pid) } else { None },
        declared_service: declared_service(pid),
        unit: unit(&cgroups),
        container: cgroup::container(&cgroups),
        listening: listeners.of(pid),
        exe,
        ..Process::default()
    };
    Some(process.labelled())
}

/// Start time of a process in clock ticks since boot (`proc_pid_stat(5)`, field 22).
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// First argument that is no option: the script, or the class or archive of Java.
fn script(pid: u32) -> Option<String> {
    let line = read_bounded(Path::new(&format!("/proc/{pid}/cmdline")))?;
    let arguments = line.split(|&byte| byte == 0).skip(1);
    let first = arguments
        .map(String::from_utf8_lossy)
        .find(|argument| !argument.is_empty() && !argument.starts_with('-'))?;
    let name = base_name(&first).to_owned();
    (!name.is_empty()).then_some(name)
}

fn declared_service(pid: u32) -> Option<String> {
    let environment = read_bounded(Path::new(&format!("/proc/{pid}/environ")))?;
    let value = environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(b"OTEL_SERVICE_NAME="))?;
    let value = String::from_utf8_lossy(value).trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// systemd service in the text of `/proc/<pid>/cgroup`.
fn unit(cgroups: &str) -> Option<String> {
    cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .flat_map(|path| path.rsplit('/'))
        .find(|part| part.ends_with(".service") && !part.starts_with("user@"))
        .map(str::to_owned)
}

/// Listening sockets by inode, for each network namespace that was asked for.
#[derive(Default)]
struct Listeners(HashMap<String, HashMap<u64, u16>>);

impl Listeners {
    /// A process without sockets, such as most that are new, costs no look at the table of
    /// sockets: the kernel walks all its buckets for it, milliseconds on a large machine.
    fn of(&mut self, pid: u32) -> BTreeSet<u16> {
        let sockets = sockets(pid);
        if sockets.is_empty() {
            return BTreeSet::new();
        }
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net")) else {
            return BTreeSet::new();
        };
        let ports = self
            .0
            .entry(namespace.to_string_lossy().into_owned())
            .or_insert_with(|| listening_sockets(pid));
        sockets.iter().filter_map(|inode| ports.get(inode).copied()).collect()
    }
}

/// Inodes of the sockets that a process has open.
fn sockets(pid: u32) -> Vec<u64> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| socket_inode(&target.to_string_lossy()))
        .collect()
}

fn listening_sockets(pid: u32) -> HashMap<u64, u16> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|text| text.lines().filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// Inode and port of a line of `/proc/net/tcp` that listens.
fn listener(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    if *fields.get(3)? != LISTEN {
        return None;
    }
    Some((fields.get(9)?.parse().ok()?, u16::from_str_radix(port, 16).ok()?))
}

fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_is_found_with_the_port_that_it_listens_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let process = one(std::process::id()).unwrap();
        assert!(process.listening.contains(&port), "{:?}", process.listening);
        assert!(process.start_ticks > 0);
        assert!(process.labels["weir.dev/exe"].starts_with("weir_capture_agent"));
    }

    #[test]
    fn units_are_taken_from_any_hierarchy_line() {
        let text = "12:cpu:/\n1:name=systemd:/system.slice/nginx.service\n0::/init.scope\n";
        assert_eq!(unit(text).as_deref(), Some("nginx.service"));
        assert_eq!(unit("0::/user.slice/user@1000.service\n"), None);
    }

    #[test]
    fn only_listening_lines_name_a_port() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0";
        assert_eq!(listener(line), Some((31337, 8080)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }
}
