//! The read-only globals. The kernel side sees them as constants: the verifier reads the
//! frozen section, so offsets from them may be added to typed pointers.

use weir_abi::Config;

#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    wake_bytes: 0,
    call_limit_bytes: 0,
    sk_protocol: 0,
    skc_family: 0,
    skc_state: 0,
    skc_num: 0,
    skc_dport: 0,
    skc_daddr: 0,
    skc_rcv_saddr: 0,
    skc_v6_daddr: 0,
    skc_v6_rcv_saddr: 0,
    skc_net: 0,
    net_inum: 0,
    copied_seq: 0,
    write_seq: 0,
    rcv_nxt: 0,
    bytes_received: 0,
    snd_una: 0,
    bytes_acked: 0,
    task_files: 0,
    files_fdt: 0,
    fdtable_fd: 0,
    file_private_data: 0,
    file_inode: 0,
    inode_mode: 0,
    socket_sk: 0,
    task_tgid: 0,
    task_pid: 0,
    task_signal: 0,
    signal_live: 0,
    task_real_parent: 0,
    task_cgroups: 0,
    task_start_boottime: 0,
    binprm_file: 0,
    file_dentry: 0,
    dentry_name: 0,
};

/// One field of [`CONFIG`].
macro_rules! config {
    ($field:ident) => {
        $crate::config::current(|config| &raw const config.$field)
    };
}
pub(crate) use config;

/// Volatile, since the loader replaces the section.
#[inline(always)]
pub(crate) fn current(field: impl FnOnce(&'static Config) -> *const u32) -> u32 {
    // SAFETY: a static of plain numbers.
    unsafe { core::ptr::read_volatile(field(&CONFIG)) }
}
