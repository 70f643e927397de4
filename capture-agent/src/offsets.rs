//! The running kernel's offsets, as the programs want them.

use weir_abi::Config;

use crate::btf::{Btf, BtfError};

/// Where the kernel shows its type information.
pub(crate) const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Looks up every offset of [`Config`]; the other fields stay zero.
///
/// # Errors
/// The first member that this kernel lacks.
pub(crate) fn config(btf: &Btf<'_>) -> Result<Config, BtfError> {
    Ok(Config {
        sk_protocol: btf.offset("sock", "sk_protocol")?,
        skc_family: btf.offset("sock_common", "skc_family")?,
        skc_state: btf.offset("sock_common", "skc_state")?,
        skc_num: btf.offset("sock_common", "skc_num")?,
        skc_dport: btf.offset("sock_common", "skc_dport")?,
        skc_daddr: btf.offset("sock_common", "skc_daddr")?,
        skc_rcv_saddr: btf.offset("sock_common", "skc_rcv_saddr")?,
        skc_v6_daddr: btf.offset("sock_common", "skc_v6_daddr")?,
        skc_v6_rcv_saddr: btf.offset("sock_common", "skc_v6_rcv_saddr")?,
        skc_net: btf.offset("sock_common", "skc_net")?,
        net_inum: btf.offset("net", "ns")? + btf.offset("ns_common", "inum")?,
        copied_seq: btf.offset("tcp_sock", "copied_seq")?,
        write_seq: btf.offset("tcp_sock", "write_seq")?,
        rcv_nxt: btf.offset("tcp_sock", "rcv_nxt")?,
        bytes_received: btf.offset("tcp_sock", "bytes_received")?,
        snd_una: btf.offset("tcp_sock", "snd_una")?,
        bytes_acked: btf.offset("tcp_sock", "bytes_acked")?,
        task_files: btf.offset("task_struct", "files")?,
        files_fdt: btf.offset("files_struct", "fdt")?,
        fdtable_fd: btf.offset("fdtable", "fd")?,
        file_private_data: btf.offset("file", "private_data")?,
        file_inode: btf.offset("file", "f_inode")?,
        inode_mode: btf.offset("inode", "i_mode")?,
        socket_sk: btf.offset("socket", "sk")?,
        task_tgid: btf.offset("task_struct", "tgid")?,
        task_pid: btf.offset("task_struct", "pid")?,
        task_signal: btf.offset("task_struct", "signal")?,
        signal_live: btf.offset("signal_struct", "live")?,
        task_real_parent: btf.offset("task_struct", "real_parent")?,
        task_cgroups: btf.offset("task_struct", "cgroups")?,
        task_start_boottime: btf.offset("task_struct", "start_boottime")?,
        binprm_file: btf.offset("linux_binprm", "file")?,
        file_dentry: btf.offset("file", "f_path")? + btf.offset("path", "dentry")?,
        dentry_name: btf.offset("dentry", "d_name")? + btf.offset("qstr", "name")?,
        ..Config::default()
    })
}
