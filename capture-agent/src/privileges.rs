//! Capabilities of this process.

use std::fs;

/// Bit numbers of `linux/capability.h`.
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Of the machine's first process namespace (`PROC_PID_INIT_INO` of `linux/proc_ns.h`).
const FIRST_PROCESSES: &str = "pid:[4026531836]";

/// False in a process namespace below the machine's: there `/proc` numbers processes otherwise
/// than the kernel side does, and nothing would ever be captured. So it is in a container without
/// the host's processes, and in every node of a cluster that is itself a container, as with kind.
pub(crate) fn counts_processes_as_the_kernel() -> bool {
    // Where the file cannot be read, no such namespace is known.
    fs::read_link("/proc/self/ns/pid").map_or(true, |name| name.as_os_str() == FIRST_PROCESSES)
}

/// Names of the capabilities that capture needs and this process lacks.
///
/// CAP_SYS_ADMIN stands for BPF and PERFMON, as it did before they were split off.
pub(crate) fn missing() -> Vec<&'static str> {
    let effective = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| effective_set(&status))
        .unwrap_or(0);
    lacking(effective)
}

fn effective_set(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

fn lacking(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let admin = has(SYS_ADMIN);
    [
        (admin || has(BPF), "CAP_BPF"),
        (admin || has(PERFMON), "CAP_PERFMON"),
        (has(SYS_PTRACE), "CAP_SYS_PTRACE"),
    ]
    .into_iter()
    .filter_map(|(present, name)| (!present).then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon() {
        assert_eq!(lacking(1 << SYS_ADMIN | 1 << SYS_PTRACE), Vec::<&str>::new());
        assert_eq!(lacking(1 << BPF), ["CAP_PERFMON", "CAP_SYS_PTRACE"]);
        assert_eq!(lacking(0), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"]);
    }

    #[test]
    fn a_process_namespace_below_the_machines_is_noticed() {
        let inside = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--pid", "--fork", "readlink", "/proc/self/ns/pid"])
            .output();
        // Where this is not permitted the first half alone is tested.
        if let Some(output) = inside.ok().filter(|output| output.status.success()) {
            assert_ne!(String::from_utf8(output.stdout).unwrap().trim(), FIRST_PROCESSES);
        }
        let link = fs::read_link("/proc/self/ns/pid").unwrap();
        assert_eq!(counts_processes_as_the_kernel(), link.as_os_str() == FIRST_PROCESSES);
    }

    #[test]
    fn the_effective_set_is_read_from_status() {
        assert_eq!(effective_set("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
    }
}
