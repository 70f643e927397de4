//! What this kernel can and cannot do for a capture, by name.

use std::fs;

use serde::Serialize;

use crate::{
    agent::AgentConfig,
    btf::Btf,
    kernel::{self, Hook, Kernel},
    offsets::{self, BTF_PATH},
    privileges,
    tls::survey,
};

/// Outcome of one check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Capture works, with a cost or without a feature.
    Degraded,
    /// Capture cannot work.
    Missing,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty when nothing is to be done.
    pub remedy: String,
}

impl Check {
    fn new(name: &'static str, status: Status, detail: impl Into<String>, remedy: &str) -> Self {
        Self { name, status, detail: detail.into(), remedy: remedy.to_owned() }
    }

    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, "")
    }
}

/// Runs every check. Programs are loaded, which proves more than any version number, and
/// unloaded again; nothing is attached.
pub fn checks() -> Vec<Check> {
    let btf = fs::read(BTF_PATH);
    let mut report = vec![kernel_release(), capabilities(), lockdown(), type_information(&btf)];
    if let Ok(raw) = &btf
        && let Ok(btf) = Btf::parse(raw)
    {
        report.push(hooks(&btf));
    }
    for (name, hook) in
        [("socket programs", Hook::SockLength), ("syscall programs", Hook::SyscallExit)]
    {
        report.push(programs(name, hook));
    }
    report.extend([uprobes(), encryption(), cgroup(), processes()]);
    report
}

/// True when a capture can start: no check that it depends on failed.
pub fn can_capture(report: &[Check]) -> bool {
    let works = |name: &str| {
        report.iter().any(|check| check.name == name && check.status != Status::Missing)
    };
    works("capabilities")
        && works("type information")
        && (works("socket programs") || works("syscall programs"))
}

fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel_release() -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let machine = uname.machine().to_string_lossy();
    Check::ok("kernel", format!("{release} {machine}"))
}

fn capabilities() -> Check {
    let missing = privileges::missing();
    if missing.is_empty() {
        return Check::ok("capabilities", "all that capture needs");
    }
    let detail = format!("missing {}", missing.join(", "));
    let remedy = "run as root, or grant them (securityContext.capabilities.add)";
    Check::new("capabilities", Status::Missing, detail, remedy)
}

fn lockdown() -> Check {
    let Some(text) = read_line("/sys/kernel/security/lockdown") else {
        return Check::ok("lockdown", "not in this kernel");
    };
    let active = text.split(['[', ']']).nth(1).unwrap_or("unknown").to_owned();
    if active == "confidentiality" {
        let remedy = "boot with lockdown=integrity: confidentiality forbids reading memory";
        return Check::new("lockdown", Status::Missing, active, remedy);
    }
    Check::ok("lockdown", active)
}

fn type_information(raw: &std::io::Result<Vec<u8>>) -> Check {
    const NAME: &str = "type information";
    const REMEDY: &str = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y";
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) => {
            return Check::new(NAME, Status::Missing, format!("{BTF_PATH}: {error}"), REMEDY);
        }
    };
    match Btf::parse(raw).and_then(|btf| offsets::config(&btf)) {
        Ok(_) => Check::ok(NAME, format!("{BTF_PATH}, {} KiB", raw.len() / 1024)),
        Err(error) => Check::new(NAME, Status::Missing, error.to_string(), REMEDY),
    }
}

fn hooks(btf: &Btf<'_>) -> Check {
    const NAME: &str = "hooks";
    if kernel::has_sock_length(btf).unwrap_or(false) {
        return Check::ok(NAME, "socket tracepoints: other syscalls pay nothing");
    }
    let detail = "no socket tracepoints (they came with 6.3): the end of every syscall is watched";
    Check::new(
        NAME,
        Status::Degraded,
        detail,
        "use kernel 6.3 or later to spare about 50 ns per syscall",
    )
}

fn programs(name: &'static str, hook: Hook) -> Check {
    let config = AgentConfig { ring_bytes: 4096, hook, ..AgentConfig::default() };
    match Kernel::load(&config) {
        Ok(_) => Check::ok(name, "load"),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let first = cause.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
            let detail = format!("{error}: {first}");
            Check::new(
                name,
                Status::Missing,
                detail,
                "see the other checks; the loop helper needs kernel 5.17",
            )
        }
    }
}

fn uprobes() -> Check {
    match read_line("/sys/bus/event_source/devices/uprobe/type") {
        Some(_) => Check::ok("uprobes", "present: TLS libraries can be probed"),
        None => Check::new(
            "uprobes",
            Status::Degraded,
            "not in this kernel: TLS will not be readable",
            "use a kernel built with CONFIG_UPROBE_EVENTS=y",
        ),
    }
}

/// What runs here now, whether a capture will select it or not.
fn encryption() -> Check {
    const NAMED: usize = 5;
    let found = survey();
    let mut detail = format!("{} processes with a TLS library that can be read", found.readable);
    for (why, names) in &found.opaque {
        let more = if names.len() > NAMED { ", …" } else { "" };
        let named: Vec<_> = names.iter().take(NAMED).map(String::as_str).collect();
        let why = why.reason();
        detail.extend(["; ", why, ": ", &named.join(", "), more]);
    }
    if found.incomplete {
        detail.push_str("; not all were looked at");
    }
    if found.opaque.is_empty() {
        return Check::ok("encrypted traffic", detail);
    }
    let remedy = "docs/tls-support.md says what each reason means";
    Check::new("encrypted traffic", Status::Degraded, detail, remedy)
}

fn cgroup() -> Check {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| path.to_owned())
    });
    match mounted {
        Some(path) => Check::ok("cgroup v2", path),
        None => Check::new(
            "cgroup v2",
            Status::Degraded,
            "not mounted: Pods are told apart by their processes only",
            "mount cgroup2",
        ),
    }
}

fn processes() -> Check {
    // With hidepid, or in a process namespace of one's own below the host's, the first
    // process of the machine has no folder or another's.
    if fs::metadata("/proc/1/stat").is_ok() && privileges::counts_processes_as_the_kernel() {
        return Check::ok("processes", "/proc shows every process");
    }
    Check::new(
        "processes",
        Status::Missing,
        "/proc hides other processes, or numbers them otherwise than the kernel",
        "run as root with the host's /proc (hostPID: true), mounted without hidepid",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_in_is_enough_and_none_is_not() {
        let mut report = vec![
            Check::ok("capabilities", ""),
            Check::ok("type information", ""),
            Check::new("socket programs", Status::Missing, "", ""),
            Check::ok("syscall programs", ""),
        ];
        assert!(can_capture(&report));
        report[3].status = Status::Missing;
        assert!(!can_capture(&report));
    }
}
